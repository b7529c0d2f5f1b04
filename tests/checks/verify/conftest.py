"""A folder of images and its tables, scored once."""

import shutil
from pathlib import Path

import pytest

from hambatch.scoring.options import ScoreOptions
from hambatch.scoring.run import score
from tests.conftest import jpeg_bytes


@pytest.fixture(scope="session")
def scored(tiny_engine: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `images` and their table, scored once; every test takes a copy."""
    place = tmp_path_factory.mktemp("scored")
    for sub in ("", "a"):
        (place / "images" / sub).mkdir(parents=True, exist_ok=True)
    for k in range(24):
        name = f"{'a/' if k % 3 else ''}picture_{k:02d}.jpg"
        (place / "images" / name).write_bytes(jpeg_bytes(k, width=64 + k))
    (place / "images" / "empty.jpg").touch()
    (place / "images" / "gone.jpg").symlink_to("nowhere")
    out = place / "preds.csv"
    score([place / "images"], out, "csv", ScoreOptions(engine=str(tiny_engine)))
    return place


@pytest.fixture
def images(scored: Path, tmp_path: Path) -> Path:
    shutil.copytree(scored / "images", tmp_path / "images", symlinks=True)
    return tmp_path / "images"


@pytest.fixture
def table(scored: Path, tmp_path: Path) -> Path:
    for name in ("preds.csv", "preds.csv.run.json"):
        shutil.copy(scored / name, tmp_path / name)
    return tmp_path / "preds.csv"


@pytest.fixture(scope="session")
def scored_jsonl(scored: Path, tiny_engine: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("jsonl") / "preds.jsonl"
    score([scored / "images"], out, "auto", ScoreOptions(engine=str(tiny_engine)))
    return out


@pytest.fixture
def jsonl(scored_jsonl: Path, tmp_path: Path) -> Path:
    for name in ("preds.jsonl", "preds.jsonl.run.json"):
        shutil.copy(scored_jsonl.with_name(name), tmp_path / name)
    return tmp_path / "preds.jsonl"
