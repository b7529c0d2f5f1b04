"""`hambatch score` as its users start it, less one that scores a single picture.

Whole processes, table, journal and record included: what is left of the difference is
what each further picture costs. With the precision `auto`, the table says which one it took.
"""

import csv
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from contenders.installed import surroundings
from contenders.meter import Meter, Run, Spent
from contenders.task import Setting, Task
from hambatch.engines.backend_names import AUTO


def settings(task: Task) -> list[Setting]:
    """As it is out of the box."""
    return [{}]


def build(task: Task, setting: Setting) -> Callable[[], Run]:
    """Link the pictures into a folder of their own: the command takes folders."""
    place = Path(tempfile.mkdtemp(prefix=f"command_{task.precision}_", dir=task.scratch))
    one, all_ = place / "one", place / "all"
    _link(task, task.names[:1], one)
    _link(task, task.names, all_)

    def run() -> Run:
        start_up, _ = _scored(task, one, 1)
        whole, backend = _scored(task, all_, len(task.names))
        return Run(len(task.names) - 1, whole.less(start_up), backend)

    return run


def _link(task: Task, names: tuple[str, ...], folder: Path) -> None:
    for name in names:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.hardlink_to(task.root / name)


def _scored(task: Task, folder: Path, count: int) -> tuple[Spent, str]:
    """Run one process; give what it took, and the backend that its rows name."""
    out = folder.with_suffix(".csv")
    meter = Meter()
    subprocess.run(
        words(task, folder, out), check=True, capture_output=True, **surroundings(task.python)
    )
    spent = meter.spent()
    with out.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["status"] for row in rows] == ["ok"] * count
    (backend,) = {row["backend"] for row in rows}
    return spent, backend


def words(task: Task, folder: Path, out: Path) -> list[str]:
    """What a user would type; a precision of its own whatever its gate says."""
    line = [task.python, "-m", "hambatch", "score", str(folder), "--out", str(out)]
    line += ["--overwrite", "--engine", str(task.engine)]
    return line if task.precision == AUTO else [*line, "--precision", task.precision, "--force"]
