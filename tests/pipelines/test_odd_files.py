"""docs/odd_files.md says what becomes of every file of three public test suites."""

import re
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from hambatch.scoring.options import ScoreOptions
from hambatch.scoring.rows import predict_files
from tests.conftest import REPOSITORY

SUITES = REPOSITORY.parent / "shared" / "data" / "odd_images"
ROW = re.compile(r"^\| (?P<files>`.*`) \| (?P<outcome>ok|failed) \| (?P<decoder>\S*) ?\| .+ \|$")


def documented() -> list[tuple[list[str], str, str]]:
    """Patterns, outcome and decoder of every row of the last table."""
    text = (REPOSITORY / "docs" / "odd_files.md").read_text(encoding="utf-8")
    rows = (ROW.match(line) for line in text.splitlines())
    return [(re.findall(r"`([^`]+)`", m["files"]), m["outcome"], m["decoder"]) for m in rows if m]


@pytest.mark.data
@pytest.mark.parametrize("batch_size", [1, 32])
def test_every_odd_file_ends_as_the_documentation_says(tiny_engine: Path, batch_size: int) -> None:
    if not SUITES.is_dir():
        pytest.skip(f"{SUITES} is missing")
    names = sorted(str(p.relative_to(SUITES)) for p in SUITES.rglob("*") if p.is_file())
    options = ScoreOptions(engine=str(tiny_engine), batch_size=batch_size)
    rows = predict_files(SUITES, names, options)
    table = documented()
    for name, row in zip(names, rows, strict=True):
        said = [
            (outcome, decoder)
            for patterns, outcome, decoder in table
            if any(fnmatchcase(name, pattern) for pattern in patterns)
        ]
        assert said == [(row.status, row.decoder)], f"{name}: {row.reason}"
        assert bool(row.reason) == (row.status == "failed")
