"""Test-time augmentation: each view is scored as an image of its own would be."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray
from PIL import Image

from hambatch.backends.test_time_augmentation import SYMMETRIES, view_of
from hambatch.cli import hambatch
from hambatch.scoring.options import VIEWS_AT_MOST
from tests.conftest import jpeg_bytes

SIDE = 224
SEEDS = 3
PROBABILITIES = [f"p_{name}" for name in ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")]


def pixels(seed: int) -> NDArray[np.uint8]:
    # Dark, or the tiny engine is certain of all of them.
    coarse = np.random.default_rng(seed).integers(0, 24, (7, 7, 3), np.uint8)
    return np.kron(coarse, np.ones((32, 32, 1), np.uint8))


def scored(source: Path, out: Path, engine: Path, *options: str) -> pd.DataFrame:
    arguments = ["score", str(source), "--out", str(out), "--engine", str(engine), *options]
    ran = CliRunner().invoke(hambatch, [*arguments, "--device", "cpu"])
    assert ran.exit_code == 0, ran.output
    return pd.read_csv(out, index_col="image")


def test_views_are_all_different_and_the_first_is_the_image() -> None:
    images = pixels(1)[np.newaxis]
    views = [view_of(images, number) for number in range(VIEWS_AT_MOST)]
    assert np.array_equal(views[0], images)
    assert len({view.tobytes() for view in views}) == VIEWS_AT_MOST == len(SYMMETRIES)
    assert {np.sort(view, axis=None).tobytes() for view in views} == {
        np.sort(images, axis=None).tobytes()
    }


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, tiny_engine: Path) -> Path:
    """A table of every view as an image of its own, in ``views`` beside it; images in ``own``."""
    place = tmp_path_factory.mktemp("alone")
    own, views = place / "own", place / "views"
    for folder in (own, views):
        folder.mkdir()
    # As large as the engine's input and without loss, so that a view's file has a view's pixels.
    for seed in range(SEEDS):
        image = pixels(seed)[np.newaxis]
        Image.fromarray(image[0]).save(own / f"{seed}.png")
        for number in range(VIEWS_AT_MOST):
            Image.fromarray(view_of(image, number)[0]).save(views / f"{seed}_{number}.png")
    scored(views, place / "views.csv", tiny_engine)
    return place / "views.csv"


@pytest.mark.parametrize("count", [2, 8])
def test_a_row_is_the_mean_of_the_rows_that_its_views_have(
    alone: Path, tmp_path: Path, tiny_engine: Path, count: int
) -> None:
    options = ("--tta", str(count))
    averaged = scored(alone.with_name("own"), tmp_path / "own.csv", tiny_engine, *options)
    of_views = pd.read_csv(alone, index_col="image")
    for seed in range(SEEDS):
        rows = of_views.loc[[f"{seed}_{number}.png" for number in range(count)], PROBABILITIES]
        assert np.ptp(rows.to_numpy(), axis=0).max() > 1e-3
        wanted = rows.mean().to_numpy()
        found = averaged.loc[f"{seed}.png", PROBABILITIES].to_numpy(float)
        assert np.abs(found - wanted).max() < 2e-6


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, tiny_engine: Path) -> tuple[Path, Path]:
    """A folder of images, and its table with four views of each; a test copies what it changes."""
    place = tmp_path_factory.mktemp("views")
    (place / "images").mkdir()
    for seed in range(8):
        (place / "images" / f"{seed}.jpg").write_bytes(jpeg_bytes(seed, width=64 + 8 * seed))
    scored(place / "images", place / "preds.csv", tiny_engine, "--tta", "4")
    return place / "images", place / "preds.csv"


def test_one_view_writes_the_bytes_of_a_run_without_the_option(
    alone: Path, tmp_path: Path, tiny_engine: Path
) -> None:
    scored(alone.with_name("views"), tmp_path / "p.csv", tiny_engine, "--tta", "1")
    assert (tmp_path / "p.csv").read_bytes() == alone.read_bytes()


def test_batch_size_and_a_broken_file_change_no_row(
    run: tuple[Path, Path], tmp_path: Path, tiny_engine: Path
) -> None:
    images, out = Path(shutil.copytree(run[0], tmp_path / "images")), tmp_path / "preds.csv"
    (images / "4_broken.jpg").write_bytes(jpeg_bytes(77)[:900])
    options = ["--engine", str(tiny_engine), "--tta", "4", "--batch-size", "3"]
    ran = CliRunner().invoke(hambatch, ["score", str(images), "--out", str(out), *options])
    assert ran.exit_code == 3, ran.output
    first, second = (pd.read_csv(path, index_col="image") for path in (run[1], out))
    assert second.loc["4_broken.jpg", "status"] == "failed"
    pd.testing.assert_frame_equal(first, second.drop("4_broken.jpg"), check_dtype=False)


def test_the_record_has_the_views_and_verify_scores_as_the_run_did(
    run: tuple[Path, Path], tmp_path: Path
) -> None:
    out, record_path = tmp_path / "preds.csv", tmp_path / "preds.csv.run.json"
    shutil.copy(run[1], out)
    record = json.loads(run[1].with_name("preds.csv.run.json").read_text())
    assert record["options"]["tta"] == record["fingerprint"]["backend"]["tta"] == 4
    assert CliRunner().invoke(hambatch, ["verify", str(run[1]), str(run[0])]).exit_code == 0
    record["options"]["tta"] = 1
    record_path.write_text(json.dumps(record))
    ran = CliRunner().invoke(hambatch, ["verify", str(out), str(run[0])])
    assert ran.exit_code != 0
    assert "differ" in ran.output


def test_failed_rows_are_not_retried_with_other_views(
    run: tuple[Path, Path], tiny_engine: Path
) -> None:
    images, out = run
    again = ["score", str(images), "--out", str(out), "--engine", str(tiny_engine)]
    ran = CliRunner().invoke(hambatch, [*again, "--retry-failed"])
    assert ran.exit_code == 1
    assert "backend tta was 4, is absent" in str(ran.exception)
