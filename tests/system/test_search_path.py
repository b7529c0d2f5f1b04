"""No process searches the current folder for modules."""

import os
import re
import sys
import types
from pathlib import Path

import pytest

from hambatch.system.search_path import (
    leave_out_current_folder,
    leave_out_folder_of_module,
    path_of_children,
)
from tests.conftest import REPOSITORY

HERE = os.getcwd()


@pytest.fixture(autouse=True)
def _search_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a test write Python's search path, and what it comes from."""
    monkeypatch.setattr(sys, "path", [HERE, "/usr/lib/python3"])
    for name in ("PYTHONPATH", "PATH", "LD_LIBRARY_PATH"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    "line",
    [["-m", "hambatch", "score"], ["-Bmhambatch", "score"], ["-I", "-m", "hambatch.cli", "score"]],
)
def test_the_folder_that_python_m_put_first_is_left_out(
    line: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [os.getcwd(), HERE])
    monkeypatch.setattr(sys, "argv", ["-m", "score"])
    monkeypatch.setattr(sys, "orig_argv", ["python", *line])
    leave_out_folder_of_module()
    assert sys.path == [HERE]


def test_a_program_that_imports_hambatch_keeps_its_search_path(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = list(sys.path)
    monkeypatch.setattr(sys, "argv", ["-m", "hambatch"])
    monkeypatch.setattr(sys, "orig_argv", ["python", "-m", "pytest", "hambatch"])
    leave_out_folder_of_module()
    monkeypatch.setattr(sys, "argv", ["program.py"])
    leave_out_folder_of_module()
    assert sys.path == before


def test_relative_entries_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """An editable install of setuptools adds one: whoever makes that folder adds modules."""
    monkeypatch.setattr(sys, "path", ["", "/a", "__editable__.hambatch.__path_hook__", "./lib"])
    leave_out_current_folder()
    assert "/a" in sys.path
    assert all(map(os.path.isabs, sys.path))


@pytest.mark.parametrize(
    ("named", "kept", "stays"),
    [(":/a", "/a", False), ("/a:", "/a", False), (f":{HERE}", HERE, True), ("", "", True)],
)
def test_only_an_empty_entry_of_pythonpath_goes(
    named: str, kept: str, stays: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    where = HERE if named == f":{HERE}" else str(tmp_path)
    monkeypatch.chdir(where)
    monkeypatch.setattr(sys, "path", ["/bin", where, "/a"])
    monkeypatch.setenv("PYTHONPATH", named)
    monkeypatch.setenv("LD_LIBRARY_PATH", "/b::/c")
    leave_out_current_folder()
    assert (where in sys.path) is stays
    assert os.environ["PYTHONPATH"] == kept
    assert os.environ["LD_LIBRARY_PATH"] == "/b:/c"


def test_a_checkout_that_is_not_installed_is_found_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)
    monkeypatch.setattr(sys, "path", ["", "/a"])
    leave_out_current_folder()
    assert sys.path == ["/a", str(REPOSITORY)]


@pytest.mark.parametrize("with_script", [False, True])
def test_no_file_of_the_program_s_hides_a_package_from_its_processes(
    with_script: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    library, place = os.path.dirname(os.__file__), str(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", "/named")
    monkeypatch.setattr(sys, "path", ["", place, "/named", "/inserted", library, "/site", "odd"])
    main = types.ModuleType("__main__")
    if with_script:
        main.__file__ = str(tmp_path / "score.py")
    monkeypatch.setitem(sys.modules, "__main__", main)
    last = [place, "/inserted"] if with_script else ["/inserted"]
    assert path_of_children() == ["/named", library, "/site", *last]


def test_hambatch_is_found_by_its_processes_wherever_it_lies(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(REPOSITORY)
    library = os.path.dirname(os.__file__)
    for entry in ("", str(REPOSITORY)):
        monkeypatch.setattr(sys, "path", [entry, library])
        assert path_of_children() == [library, str(REPOSITORY)]


def test_every_process_starts_like_that() -> None:
    """A process that is started in another way searches the current folder first."""
    starts = re.compile(
        r"get_context\(|set_start_method|ProcessPoolExecutor|multiprocessing\.(?:Process|Pool)\b"
        r"|os\.(?:exec|spawn|fork|posix_spawn|system|popen)"
        r"|sys\.executable, (?!\"-P\"|\*flags)"
    )
    found = {
        str(path.relative_to(REPOSITORY))
        for path in (REPOSITORY / "hambatch").rglob("*.py")
        if starts.search(path.read_text())
    }
    assert found == {"hambatch/system/spawning.py"}
