"""`hambatch score` as its users start it: a process of its own."""

import csv
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import hambatch

PACKAGE = Path(hambatch.__file__).resolve().parent
"""Processes are to run the hambatch that this one imports, not another one installed."""

FINISHED = frozenset({0, 3})
"""Exit codes of a run that wrote its table."""

Table = dict[str, dict[str, str]]


@dataclass(frozen=True)
class Command:
    """One `hambatch score`, to be started as often as it takes.

    ``scratch`` is its folder for temporary files.
    """

    source: Path
    out: Path
    engine: Path
    scratch: Path
    options: Sequence[str] = ()

    @property
    def line(self) -> list[str]:
        """What a user would type."""
        start = [sys.executable, "-m", "hambatch", "score", str(self.source)]
        return [*start, "--out", str(self.out), "--engine", str(self.engine), *self.options]

    @property
    def journal(self) -> Path:
        """The folder that it keeps while it runs."""
        return self.out.with_name(self.out.name + ".journal")

    @property
    def record(self) -> Path:
        """What it writes beside its table."""
        return self.out.with_name(self.out.name + ".run.json")

    def start(self) -> subprocess.Popen[bytes]:
        """Start it in a process group of its own; what it says goes to a file."""
        self.scratch.mkdir(exist_ok=True)
        with (self.scratch / "said").open("ab") as said:
            return subprocess.Popen(
                self.line,
                cwd=PACKAGE.parent,
                env={**os.environ, "TMPDIR": str(self.scratch)},
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )

    def finish(self, process: subprocess.Popen[bytes] | None = None, timeout_s: float = 900) -> int:
        """Wait for the process, or start one and wait; AssertionError if no table came of it."""
        code = (process or self.start()).wait(timeout_s)
        if code not in FINISHED:
            raise AssertionError(f"exit code {code} of {self.line}:\n{self.said()}")
        return code

    def said(self) -> str:
        """The end of what all its processes printed."""
        return (self.scratch / "said").read_text(errors="replace")[-4000:]


def rows_of_file(path: Path) -> list[dict[str, str]]:
    """The table's rows, in its order."""
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))
