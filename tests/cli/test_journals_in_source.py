"""A folder that looks like a journal hides no image: only the run's own journal is left out."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from hambatch.cli import hambatch
from hambatch.engines.synthetic import write_sentinel_images
from tests.conftest import jpeg_bytes

SENTINELS = (".sentinel_0.jpg.1a2b3c4d.tmp", *(f"sentinel_{k}.jpg" for k in range(3)))
LOCK = b"hambatch run, process 7\n"


@pytest.fixture(scope="module")
def scored(
    tiny_engine: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[set[str], dict[str, Any]]:
    """Names of the rows of a run whose table lies in SOURCE, and its record."""
    source = tmp_path_factory.mktemp("source")
    for folder in ("", "scans.journal", "old.csv.journal", "a/p.csv.journal"):
        (source / folder).mkdir(parents=True, exist_ok=True)
        (source / folder / "one.jpg").write_bytes(jpeg_bytes(1))
        if folder:
            (source / folder / "lock").write_bytes(LOCK)
    (source / "old.csv.journal" / "rows").write_bytes(jpeg_bytes(2))
    out = source / "p.csv"
    # What a killed run leaves: sentinels that it drew, one of them half-written; and another image.
    drawn = source / "old.csv.journal" / "hambatch-1a2b3c4d"
    drawn.mkdir()
    write_sentinel_images(drawn)
    half = (drawn / "sentinel_0.jpg").read_bytes()[:5000]
    (drawn / ".sentinel_0.jpg.1a2b3c4d.tmp").write_bytes(half)
    (drawn / "sentinel_3.jpg").write_bytes(jpeg_bytes(3))
    result = CliRunner().invoke(
        hambatch, ["score", str(source), "--out", str(out), "--engine", str(tiny_engine)]
    )
    assert result.exit_code == 0, result.output
    with out.open() as table:
        names = {row["image"] for row in csv.DictReader(table)}
    return names, json.loads(Path(f"{out}.run.json").read_text())


@pytest.mark.parametrize(
    "name",
    [
        "scans.journal/one.jpg",
        # Left by another run; called like this run's, elsewhere; called like a file of a journal.
        "old.csv.journal/one.jpg",
        "a/p.csv.journal/one.jpg",
        "old.csv.journal/rows",
        "old.csv.journal/hambatch-1a2b3c4d/sentinel_3.jpg",
    ],
)
def test_an_image_in_a_folder_like_a_journal_has_a_row(
    scored: tuple[set[str], dict[str, Any]], name: str
) -> None:
    assert name in scored[0]


def test_a_sentinel_in_the_journal_of_another_run_has_no_row(
    scored: tuple[set[str], dict[str, Any]],
) -> None:
    assert not {name for name in scored[0] if name.endswith(SENTINELS)}


def test_the_runs_own_journal_is_counted_and_has_no_row(
    scored: tuple[set[str], dict[str, Any]],
) -> None:
    names, record = scored
    assert not any(name.startswith("p.csv") for name in names)
    others = record["not_scored"]["others"]
    assert others["names"] == [
        "a/p.csv.journal/lock",
        *(f"old.csv.journal/hambatch-1a2b3c4d/{name}" for name in SENTINELS),
        "old.csv.journal/lock",
        "p.csv.journal",
        "scans.journal/lock",
    ]
    assert record["changed_since_begun"]["added"] == 0
