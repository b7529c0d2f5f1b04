"""The commands that `gpu.py` runs, in the order in which they matter, and running one in time."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

GRACE = 20.0
"""Seconds that a command has to end in once it was interrupted."""

LEAST = 15.0
"""Seconds without which no command is begun."""

DONE, FAILED, LATE, LEFT_OUT = "done", "failed", "stopped at its limit", "left out"

IMAGES = "IMAGES"
"""Stands for the folder of pictures, which is gone when somebody reads the commands."""

LINES_KEPT = 12
"""Of what a command printed last, where it did not succeed."""


@dataclass(frozen=True)
class Step:
    """A command of hambatch that writes JSON to ``--out``.

    ``part`` is the table of the page that it belongs to, ``about`` its line there. It may take
    ``at_most`` seconds: where a plan has to be built first, that takes most of them.
    """

    part: str
    about: str
    arguments: tuple[str, ...]
    at_most: float

    @property
    def command(self) -> str:
        """What a user would type."""
        return shlex.join(["hambatch", *self.arguments])


@dataclass(frozen=True)
class Chosen:
    """What is measured, on the GPU of number ``gpu``; ``sizes`` are images a request."""

    engine: str
    gpu: int
    precisions: Sequence[str]
    loads: Sequence[float]
    groups: Sequence[int]
    sizes: Sequence[int]
    count: int
    repeats: int


def steps_of(chosen: Chosen) -> list[Step]:
    """Name every step: first what the goal is about, last what needs most plans."""
    precisions = list(chosen.precisions)
    whole = [_end_to_end(chosen, precision) for precision in precisions]
    # Each by itself: whether the CPU's INT8 is as it should be is another question.
    parity = [_parity(chosen, precision) for precision in precisions]
    sweeps = [
        _decoding(chosen, "hw_decoder_load", "--hw-decoder-load", chosen.loads),
        _decoding(chosen, "group size", "--batch-size", chosen.groups),
    ]
    fastest = "fp16" if "fp16" in precisions else precisions[0]
    requests = [_requests(chosen, fastest, size) for size in chosen.sizes]
    return [*whole[:2], *parity[:2], *sweeps, *whole[2:], *parity[2:], *requests]


def _end_to_end(chosen: Chosen, precision: str) -> Step:
    how = ("--backend", "tensorrt", "--precision", precision)
    arguments = _bench(chosen, "score", chosen.count) + how
    return Step("end to end", precision, arguments, 210.0)


def _parity(chosen: Chosen, precision: str) -> Step:
    arguments = ("parity", *_on(chosen), "--precision", precision)
    return Step("parity", precision, arguments, 90.0)


def _decoding(chosen: Chosen, about: str, option: str, values: Sequence[float]) -> Step:
    listed = ",".join(f"{value:g}" for value in values)
    arguments = (*_bench(chosen, "pipeline", chosen.count // 2), option, listed)
    return Step("decoding", about, arguments, 90.0)


def _requests(chosen: Chosen, precision: str, size: int) -> Step:
    how = ("--backend", "tensorrt", "--precision", precision, "--batch-size", str(size))
    # A few latencies on the way; percentiles are not what this is about.
    arguments = (*_bench(chosen, "engine", chosen.count), *how, "--samples", "50")
    return Step("request size", f"{precision}, {size} a request", arguments, 120.0)


def _bench(chosen: Chosen, what: str, count: int) -> tuple[str, ...]:
    amount = ("--count", str(max(1, count)), "--repeats", str(chosen.repeats))
    return ("bench", what, *_on(chosen), *amount)


def _on(chosen: Chosen) -> tuple[str, ...]:
    return (IMAGES, "--engine", chosen.engine, "--device", str(chosen.gpu))


def run_all(steps: Sequence[Step], images: Path, seconds: float) -> list[dict[str, Any]]:
    """Run one after the other until the time is over; the rest is named and left out.

    What they write goes beside the folder of images.
    """
    end, found = time.monotonic() + seconds, []
    for number, step in enumerate(steps):
        left = end - time.monotonic()
        if left < LEAST:
            found.append(_described(step, LEFT_OUT))
            continue
        print(f"{step.part}, {step.about}: {step.command}", file=sys.stderr)
        # What stops a command that is late is in the time, too.
        limit = min(step.at_most, left - GRACE / 2)
        found.append(run_one(step, images, images.with_name(f"{number}.json"), limit))
    return found


def run_one(step: Step, images: Path, out: Path, limit: float) -> dict[str, Any]:
    """Run a command for at most ``limit`` seconds, and read what it wrote."""
    words = [str(images) if word == IMAGES else word for word in step.arguments]
    line = [sys.executable, "-m", "hambatch", *words, "--out", str(out)]
    began = time.monotonic()
    # A group of its own, so that what it has started ends with it.
    process = subprocess.Popen(
        line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    try:
        said, state = process.communicate(timeout=max(limit, 1.0))[0], DONE
    except subprocess.TimeoutExpired:
        said, state = _stopped(process), LATE
    finally:
        if process.poll() is None:
            _stopped(process)
    state = FAILED if state == DONE and process.returncode else state
    seconds = time.monotonic() - began
    tail = [] if state == DONE else said.splitlines()[-LINES_KEPT:]
    result = json.loads(out.read_text()) if out.is_file() else None
    return _described(step, state, process.returncode, seconds, tail, result)


def _stopped(process: "subprocess.Popen[str]") -> str:
    for number in (signal.SIGINT, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        try:
            return process.communicate(timeout=GRACE)[0]
        except subprocess.TimeoutExpired:
            continue
    return ""


def _described(
    step: Step,
    state: str,
    exit_code: int | None = None,
    seconds: float = 0.0,
    said: Sequence[str] = (),
    result: dict[str, Any] | None = None,
) -> dict[str, Any]:
    return {
        "part": step.part,
        "about": step.about,
        "command": step.command,
        "state": state,
        "exit_code": exit_code,
        "seconds": round(seconds, 1),
        "said": list(said),
        "result": result,
    }
