"""Odd and hostile files among good ones: a row each, and the good ones' rows as without them."""

import shutil
from itertools import islice
from pathlib import Path

import pytest

from hambatch.score.options import ScoreOptions
from hambatch.score.run import score
from hambatch.sinks.formats import read_rows
from tests.conftest import REPOSITORY

SHARED = REPOSITORY.parent / "shared" / "data"
GOOD = 500


@pytest.mark.data
def test_every_file_of_the_mixture_has_its_row_and_good_ones_the_same_as_alone(
    tiny_engine: Path, tmp_path: Path
) -> None:
    if not SHARED.is_dir():
        pytest.skip(f"{SHARED} is missing")
    folder, options = tmp_path / "images", ScoreOptions(engine=str(tiny_engine))
    folder.mkdir()
    for path in islice(sorted(SHARED.glob("ham10000/*_part_1/*.jpg")), GOOD):
        shutil.copy(path, folder)
    assert score(folder, tmp_path / "clean.csv", "csv", options).complete
    shutil.copytree(SHARED / "odd_images", folder / "ISIC_0025000_odd")
    outcome = score(folder, tmp_path / "mixed.csv", "csv", options)
    assert not outcome.complete
    clean = {row.image: row for row in read_rows(tmp_path / "clean.csv", "csv")}
    mixed = {row.image: row for row in read_rows(tmp_path / "mixed.csv", "csv")}
    files = {str(p.relative_to(folder)) for p in folder.rglob("*") if not p.is_dir()}
    assert mixed.keys() == files
    assert len(clean) == GOOD
    assert {name: mixed[name] for name in clean} == clean
