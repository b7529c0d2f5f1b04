"""Runs commands of hambatch in forks of one process, which has imported what they import.

``python -m tests.cli.forks`` reads a JSON list of ``[folder, words]`` from standard input, and
writes a list of ``[exit code, stdout, stderr]``. Each command is as one of a process of its own.
"""

import atexit
import importlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tests.waiting import HANGS_S

HOME = str(Path(__file__).resolve().parent.parent.parent)


class Ended(NamedTuple):
    """How a command ended, and what it said."""

    code: int
    stdout: str
    stderr: str


def run_all(commands: Sequence[tuple[Path, Sequence[str]]]) -> list[Ended]:
    """Run commands one after another, each in its folder."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.cli.forks"],
        input=json.dumps([(str(folder), [*words]) for folder, words in commands]),
        cwd=HOME,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=HANGS_S,
    )
    return [Ended(*one) for one in json.loads(done.stdout)]


def _fork(folder: str, words: list[str]) -> tuple[int, str, str]:
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        process = os.fork()
        if not process:
            os.dup2(out.fileno(), 1)
            os.dup2(err.fileno(), 2)
            os.chdir(folder)
            _become(words)
        _, status = os.waitpid(process, 0)
        out.seek(0)
        err.seek(0)
        return os.waitstatus_to_exitcode(status), out.read(), err.read()


def _become(words: list[str]) -> None:
    code = 1
    try:
        sys.argv = ["hambatch", *words]
        main()
    except SystemExit as ended:
        code = int(ended.code or 0)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        # multiprocessing's exit handlers end its workers.
        atexit._run_exitfuncs()
        os._exit(code)


if __name__ == "__main__":
    # What commands import at use.
    for used in ("multiprocessing.connection", "sqlite3", "numpy"):
        importlib.import_module(used)
    for used in ("hambatch.cli.score", "hambatch.scoring.run", "hambatch.cli.verify"):
        importlib.import_module(used)
    from hambatch.__main__ import main

    print(json.dumps([_fork(*one) for one in json.load(sys.stdin)]))
