"""Our processes import nothing of the program; those that it starts itself do as before."""

import multiprocessing
import os
import sys
from multiprocessing import util
from multiprocessing.connection import Connection

import pytest

from hambatch.errors import BackendError
from hambatch.system.spawning import OwnProcess, spawn_context


def _say(connection: Connection) -> None:
    main = getattr(sys.modules["__main__"], "__file__", None)
    connection.send((bool(sys.flags.safe_path), os.environ.get("OPENVINO_MINE"), main))


def test_a_process_has_a_safe_path_a_settled_environment_and_no_main_module(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENVINO_MINE", "1")
    flags = util._args_from_interpreter_flags  # type: ignore[attr-defined]
    context = spawn_context()
    ours, theirs = context.Pipe()
    process = context.Process(target=_say, args=(theirs,))
    process.start()
    assert ours.recv() == (True, None, None)
    process.join()
    assert os.environ["OPENVINO_MINE"] == "1"
    assert util._args_from_interpreter_flags is flags  # type: ignore[attr-defined]
    assert multiprocessing.get_context("spawn").Process is not OwnProcess


def test_a_daemonic_process_says_which_others_can(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(multiprocessing.current_process()._config, "daemon", True)
    with pytest.raises(BackendError, match=r"Next: concurrent\.futures\.ProcessPoolExecutor"):
        spawn_context().Process(target=print).start()
