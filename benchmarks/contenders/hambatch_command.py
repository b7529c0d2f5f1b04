"""`hambatch score` as its users start it, less one that scores a single picture.

Whole processes, table, journal and record included: what is left of the difference is
what each further picture costs.
"""

import csv
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from contenders.task import Setting, Task


def settings(task: Task) -> list[Setting]:
    """As it is out of the box."""
    return [{}]


def build(task: Task, setting: Setting) -> Callable[[], float]:
    """Link the pictures into a folder of their own: the command takes folders."""
    place = task.scratch / f"command_{task.precision}_{len(task.names)}"
    one, all_ = place / "one", place / "all"
    _link(task, task.names[:1], one)
    _link(task, task.names, all_)

    def run() -> float:
        start_up = _seconds(task, one, 1)
        return (len(task.names) - 1) / (_seconds(task, all_, len(task.names)) - start_up)

    return run


def _link(task: Task, names: tuple[str, ...], folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    for name in names:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.hardlink_to(task.root / name)


def _seconds(task: Task, folder: Path, count: int) -> float:
    out = folder.with_suffix(".csv")
    line = [sys.executable, "-m", "hambatch", "score", str(folder), "--out", str(out)]
    line += ["--overwrite", "--engine", str(task.engine), "--precision", task.precision, "--force"]
    started = time.perf_counter()
    subprocess.run(line, check=True, capture_output=True)
    seconds = time.perf_counter() - started
    with out.open(newline="", encoding="utf-8") as stream:
        assert [row["status"] for row in csv.DictReader(stream)] == ["ok"] * count
    return seconds
