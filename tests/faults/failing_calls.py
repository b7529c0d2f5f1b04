"""Runs commands of hambatch in forks of one process, each with one call of the system failing.

``python -m tests.faults.failing_calls LIBRARY`` reads a JSON list of :class:`Failing` from standard
input and writes a list of ``[exit code, stderr]``. A fork costs no import, so that a sweep over all
calls of a command is cheap. LIBRARY is ``failing_calls.c`` beside this file, preloaded.
"""

import atexit
import ctypes
import importlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent


class Failing(NamedTuple):
    """A command, and which of its calls on paths that begin with ``below`` fails, with what."""

    words: list[str]
    below: str
    call: str
    at: int
    error: int
    every_later: bool = False
    log: str = ""


def compiled(folder: Path) -> Path | None:
    """Compile the library; None where there is no compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    library = folder / "failing_calls.so"
    if compiler is None:
        return None
    source = HERE / "failing_calls.c"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
    return library


def run_failing(library: Path, cases: Sequence[Failing], cwd: Path) -> list[tuple[int, str]]:
    """Run each case; gives exit codes and what was said on stderr."""
    home = str(HERE.parent.parent)
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.failing_calls", library],
        input=json.dumps(cases),
        env={**os.environ, "LD_PRELOAD": str(library), "PYTHONPATH": home},
        cwd=cwd,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return [(code, said) for code, said in json.loads(done.stdout)]


def _fork(library: ctypes.CDLL, case: Failing) -> tuple[int, str]:
    with tempfile.TemporaryFile("w+") as said:
        process = os.fork()
        if not process:
            os.dup2(said.fileno(), 2)
            os.dup2(said.fileno(), 1)
            _become(library, case)
        _, status = os.waitpid(process, 0)
        said.seek(0)
        return os.waitstatus_to_exitcode(status), said.read()


def _become(library: ctypes.CDLL, case: Failing) -> None:
    code = 1
    try:
        sys.argv = ["hambatch", *case.words]
        about = case.below, case.call, case.at, case.every_later, case.error, case.log
        library.arrange(*(part.encode() if isinstance(part, str) else int(part) for part in about))
        main()
    except SystemExit as ended:
        code = int(ended.code or 0)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        library.arrange(b"", b"", 0, 0, 0, b"")
        sys.stderr.flush()
        # multiprocessing's exit handlers end its workers.
        atexit._run_exitfuncs()
        os._exit(code)


if __name__ == "__main__":
    cases = [Failing(*case) for case in json.load(sys.stdin)]
    # What commands import at use: a fork need not do it again.
    imported = ["multiprocessing.connection", "sqlite3", "numpy", "PIL.Image"]
    imported += ["hambatch.cli.summary", "hambatch.scoring.run", "hambatch.checks.verify.verify"]
    if not {case.words[0] for case in cases} <= {"samples", "score", "verify"}:
        imported.append("pandas")
    for used in imported:
        importlib.import_module(used)
    from hambatch.cli import main

    preloaded = ctypes.CDLL(sys.argv[1])
    print(json.dumps([_fork(preloaded, case) for case in cases]))
