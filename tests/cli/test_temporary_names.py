"""Temporary names are random: what a killed process of the same number left is in nobody's way.

In a container every run is process 1. Here the next run is this process, so its number is known.
"""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hambatch.cli import hambatch
from tests.conftest import jpeg_bytes


def score(source: Path, out: Path, engine: Path) -> Result:
    return CliRunner().invoke(
        hambatch, ["score", str(source), "--out", str(out), "--engine", str(engine)]
    )


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source = tmp_path_factory.mktemp("s")
    for k in range(3):
        (source / f"{k}.jpg").write_bytes(jpeg_bytes(k))
    return source


@pytest.mark.parametrize("name", ["listing", "listing.now"])
def test_what_a_kill_left_while_names_were_sorted_stops_no_later_run(
    source: Path, tiny_engine: Path, tmp_path: Path, name: str
) -> None:
    """They are sorted twice: when a run begins, and when it looks again before it ends."""
    out, journal = tmp_path / "p.csv", tmp_path / "p.csv.journal"
    journal.mkdir(mode=0o700)
    with closing(sqlite3.connect(journal / f".{name}.{os.getpid()}.tmp.sort")) as base:
        base.execute("CREATE TABLE names (name TEXT)")
        base.execute("INSERT INTO names VALUES ('ghost.jpg')")
        base.commit()
    result = score(source, out, tiny_engine)
    assert result.exit_code == 0, (result.output, result.exception)
    assert out.read_text().count(",ok,") == 3
    assert "ghost" not in out.read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["p.csv", "p.csv.run.json"]


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Predictions and their truth."""
    place, classes = tmp_path_factory.mktemp("tables"), "mel nv bcc akiec bkl df vasc".split()
    cells = [["0.4" if column == k % 7 else "0.1" for column in range(7)] for k in range(14)]
    lines = [",".join([f"{k}", *row]) for k, row in enumerate(cells)]
    header = ",".join(["image", *classes]).upper().replace("IMAGE", "image")
    (place / "p.csv").write_text("\n".join([header, *lines]) + "\n")
    truth = "".join(f"{k},{classes[k % 7]}\n" for k in range(14))
    (place / "truth.csv").write_text(f"image_id,dx\n{truth}")
    return place / "p.csv", place / "truth.csv"


@pytest.mark.parametrize("kind", ["file", "link"])
def test_what_has_the_name_that_a_temporary_file_had_is_not_written(
    tables: tuple[Path, Path], tmp_path: Path, kind: str
) -> None:
    """As another container's run of the same number has it, which writes the same page."""
    precious, there = tmp_path / "precious", tmp_path / f".page.html.{os.getpid()}.tmp"
    precious.write_bytes(b"precious")
    there.symlink_to(precious) if kind == "link" else there.hardlink_to(precious)
    page = tmp_path / "page.html"
    named = ["evaluate", str(tables[0]), "--truth", str(tables[1]), "--html", str(page)]
    result = CliRunner().invoke(hambatch, named)
    assert page.exists(), (result.output, result.exception)
    assert precious.read_bytes() == b"precious"
    assert there.exists()
