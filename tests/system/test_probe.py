"""What a child process reported before it failed is kept, and its end is named in one line."""

import os
import signal
from pathlib import Path

import pytest

from hambatch.system.probe import LEAN, ProbeResult, run_probe
from tests.faults.starving import STARVE


@pytest.fixture
def child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of a module ``child``, which only the child finds; its ``main`` is to be written."""
    path = os.environ.get("PYTHONPATH", "")
    # A file written twice in a second may have the same size and time as its compiled one.
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), path]).rstrip(os.pathsep))
    return tmp_path / "child.py"


def written(file: Path, *body: str) -> str:
    lines = "".join(f"    {line}\n" for line in body)
    file.write_text(
        f"import os, sys\nfrom hambatch.system.probe import report\ndef main():\n{lines}"
    )
    return file.stem


def test_reports_come_back_in_order_whatever_else_is_printed(child: Path) -> None:
    body = ("print('noise')", "report(sys.argv[1:])", "print('{\"answer\": 1}', flush=True)")
    result = run_probe(written(child, *body, "report({'b': 2})"), "x", "y", seconds=20)
    assert result == ProbeResult((["x", "y"], {"b": 2}))


def test_an_error_is_named_by_its_name_and_first_line(child: Path) -> None:
    result = run_probe(written(child, "report(1)", "raise KeyError('a\\nb')"), seconds=20)
    assert result.reports == (1,)
    assert result.problem.startswith("KeyError: ")
    result = run_probe(written(child, "raise ValueError('no good\\nbecause')"), seconds=20)
    assert result.problem == "ValueError: no good"


def test_a_crash_is_named_with_the_last_line_of_its_errors(child: Path) -> None:
    last = "print('no AVX here', file=sys.stderr, flush=True)"
    result = run_probe(written(child, "report(1)", last, "os.abort()"), seconds=20)
    assert result == ProbeResult((1,), "died of signal 6 (Aborted): no AVX here")


def test_a_crash_while_libraries_are_taken_down_is_no_problem(child: Path) -> None:
    body = ("import atexit", "atexit.register(os.abort)", "report(1)")
    result = run_probe(written(child, *body), seconds=20)
    assert result == ProbeResult((1,))


def test_ctrl_c_ends_the_parent_too(child: Path) -> None:
    name = written(child, "import signal", "os.kill(os.getpid(), signal.SIGINT)", "report(1)")
    with pytest.raises(KeyboardInterrupt):
        run_probe(name, seconds=20)


def test_a_module_that_ends_the_process_is_a_problem(child: Path) -> None:
    result = run_probe(written(child, "report(1)", "sys.exit(0)"), seconds=20)
    assert result == ProbeResult((1,), "ended by itself with exit code 0")


def test_a_process_that_hangs_is_killed_and_what_it_reported_is_kept(child: Path) -> None:
    # For ever: that this test ends shows that it was killed.
    hang = ("report(os.getpid())", "import signal", "while True: signal.pause()")
    result = run_probe(written(child, *hang), seconds=1.5)
    assert result.problem == "gave no answer in 1.5 s"
    with pytest.raises(ProcessLookupError):
        os.kill(result.reports[0], 0)


@pytest.mark.parametrize(
    ("end", "problem"), [("signal.pause()", "gave no answer in 1 s"), ("pass", "")]
)
def test_a_grandchild_that_keeps_the_output_open_delays_nothing(
    child: Path, end: str, problem: str
) -> None:
    left = "left = subprocess.Popen([sys.executable, '-S', '-c', 'import signal; signal.pause()'])"
    body = ("import signal, subprocess", left, "report(left.pid)", end)
    result = run_probe(written(child, *body), seconds=1)
    # It is there when the answer is: nobody waited for its end.
    os.kill(result.reports[0], signal.SIGKILL)
    assert result.problem == problem


def test_a_process_that_gets_no_processor_has_its_time(child: Path) -> None:
    name = written(child, "report(1)", *f"{STARVE}\nstarve(2)".strip().splitlines())
    assert run_probe(name, seconds=1) == ProbeResult((1,))


def test_a_lean_process_sees_no_package_but_this_one(child: Path) -> None:
    result = run_probe(written(child, "report(1)"), seconds=20, flags=LEAN)
    assert result == ProbeResult((), "ModuleNotFoundError: No module named 'child'")


def test_the_folder_one_is_in_hides_no_module(
    child: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path_factory.mktemp("here")
    (here / "json.py").write_text("raise RuntimeError('of the folder')")
    monkeypatch.chdir(here)
    assert run_probe(written(child, "report(1)"), seconds=20) == ProbeResult((1,))


def test_this_package_hides_no_other_modules(child: Path) -> None:
    first_place = run_probe(written(child, "report(sys.path[0])"), seconds=20).reports
    assert first_place == (str(child.parent),)
