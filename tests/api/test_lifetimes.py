"""The process of a Scorer ends with the object and with the program; a fork leaves it alone."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import jpeg_bytes
from tests.faults.processes import _stat
from tests.waiting import HANGS_S

# A program that closes nothing, in which a thread still scores when it ends.
PROGRAM = """
import gc, json, os, sys, threading, time
import hambatch

def pid_of(scorer):
    return scorer._loaded._worker._worker._process.pid

def refusal(use):
    try:
        use()
    except RuntimeError as error:
        return str(error)

engine, path = sys.argv[1:]
found = {}
scorer = hambatch.Scorer(engine)
rows = scorer.score([path] * 3)
found["first"] = next(rows).status

sys.stdout.flush()
if not os.fork():
    print(json.dumps([refusal(lambda: next(rows)), refusal(lambda: scorer.table([path]))]))
    del rows
    scorer.close()
    sys.exit()
found["fork"] = os.wait()[1]
found["others"] = [row.status for row in rows]
forgotten = pid_of(scorer)
del rows, scorer
found["forgotten"] = os.path.exists(f"/proc/{forgotten}")

scorer, begun = hambatch.Scorer(engine), threading.Event()

def endless():
    while True:
        begun.set()
        yield path

threading.Thread(target=lambda: scorer.table(endless()), daemon=True).start()
begun.wait()
found["left"] = pid_of(scorer)
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def said(tiny_engine: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], Any]:
    """What the fork and the program say."""
    path = tmp_path_factory.mktemp("program") / "a.jpg"
    path.write_bytes(jpeg_bytes(1))
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tiny_engine), str(path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=HANGS_S,
    )
    assert done.returncode == 0, done.stderr
    fork, program = map(json.loads, done.stdout.splitlines())
    return fork, program


def test_a_fork_is_refused_and_ends_without_touching_the_process(
    said: tuple[list[str], Any],
) -> None:
    fork, program = said
    assert all("is a fork; make one in each process" in refusal for refusal in fork)
    assert program["fork"] == 0
    assert [program["first"], *program["others"]] == ["ok"] * 3


def test_an_object_that_is_forgotten_takes_its_process_along(
    said: tuple[list[str], Any],
) -> None:
    assert not said[1]["forgotten"]


def test_a_program_that_ends_ends_a_process_that_a_thread_still_uses(
    said: tuple[list[str], Any],
) -> None:
    assert not _stat(said[1]["left"])
