"""What a process in trouble has said is kept, and its end is told in one line."""

import os
import time
from pathlib import Path

import pytest

from hambatch.system.probe import LEAN, Told, ask


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of a module ``asked``, which only the child finds; its ``main`` is to be written."""
    path = os.environ.get("PYTHONPATH", "")
    # A file written twice in a second may have the same size and time as its compiled one.
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), path]).rstrip(os.pathsep))
    return tmp_path / "asked.py"


def written(file: Path, *body: str) -> str:
    lines = "".join(f"    {line}\n" for line in body)
    file.write_text(
        f"import os, sys\nfrom hambatch.system.probe import answer\ndef main():\n{lines}"
    )
    return file.stem


def test_answers_come_back_in_order_whatever_else_is_printed(asked: Path) -> None:
    body = ("print('noise')", "answer(sys.argv[1:])", "print('{\"answer\": 1}', flush=True)")
    told = ask(written(asked, *body, "answer({'b': 2})"), "x", "y", seconds=20)
    assert told == Told((["x", "y"], {"b": 2}))


def test_an_error_is_told_by_its_name_and_first_line(asked: Path) -> None:
    told = ask(written(asked, "answer(1)", "raise KeyError('a\\nb')"), seconds=20)
    assert told.answers == (1,)
    assert told.trouble.startswith("KeyError: ")
    told = ask(written(asked, "raise ValueError('no good\\nbecause')"), seconds=20)
    assert told.trouble == "ValueError: no good"


def test_a_death_is_told_with_the_last_words(asked: Path) -> None:
    last = "print('no AVX here', file=sys.stderr, flush=True)"
    told = ask(written(asked, "answer(1)", last, "os.abort()"), seconds=20)
    assert told == Told((1,), "died of signal 6 (Aborted): no AVX here")


def test_a_crash_while_libraries_are_taken_down_is_no_trouble(asked: Path) -> None:
    body = ("import atexit", "atexit.register(os.abort)", "answer(1)")
    told = ask(written(asked, *body), seconds=20)
    assert told == Told((1,))


def test_ctrl_c_ends_whoever_asks(asked: Path) -> None:
    name = written(asked, "import signal", "os.kill(os.getpid(), signal.SIGINT)", "answer(1)")
    with pytest.raises(KeyboardInterrupt):
        ask(name, seconds=20)


def test_a_module_that_ends_the_process_is_trouble(asked: Path) -> None:
    told = ask(written(asked, "answer(1)", "sys.exit(0)"), seconds=20)
    assert told == Told((1,), "ended by itself with exit code 0")


def test_a_process_that_hangs_is_killed_and_what_it_said_is_kept(asked: Path) -> None:
    hang = ("answer(os.getpid())", "import signal, time", "time.sleep(60)")
    started = time.monotonic()
    told = ask(written(asked, *hang), seconds=1.5)
    assert time.monotonic() - started < 10
    assert told.trouble == "gave no answer in 1.5 s"
    with pytest.raises(ProcessLookupError):
        os.kill(told.answers[0], 0)


@pytest.mark.parametrize(
    ("end", "trouble"), [("time.sleep(60)", "gave no answer in 1 s"), ("", "")]
)
def test_one_who_keeps_the_output_open_holds_nobody_up(asked: Path, end: str, trouble: str) -> None:
    left = "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(9)'])"
    started = time.monotonic()
    body = ("import subprocess, time", left, "answer(1)", end or "pass")
    assert ask(written(asked, *body), seconds=1) == Told((1,), trouble)
    assert time.monotonic() - started < 7


def test_a_lean_process_sees_no_package_but_this_one(asked: Path) -> None:
    told = ask(written(asked, "answer(1)"), seconds=20, flags=LEAN)
    assert told == Told((), "ModuleNotFoundError: No module named 'asked'")


def test_the_folder_one_is_in_hides_no_module(
    asked: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path_factory.mktemp("here")
    (here / "json.py").write_text("raise RuntimeError('of the folder')")
    monkeypatch.chdir(here)
    assert ask(written(asked, "answer(1)"), seconds=20) == Told((1,))


def test_this_package_hides_nobody_elses_modules(asked: Path) -> None:
    first_place = ask(written(asked, "answer(sys.path[0])"), seconds=20).answers
    assert first_place == (str(asked.parent),)
