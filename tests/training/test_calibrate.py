"""A temperature is fitted on held-out lesions alone, reported, and written where it is used."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result
from numpy.typing import NDArray

from hambatch.cli import hambatch
from hambatch.engines.classes import CLASSES
from hambatch.engines.loading import load_engine, write_manifest
from hambatch.engines.manifest import read_manifest
from hambatch.engines.probabilities import softmax, tempered
from hambatch.errors import EngineError, InputError
from hambatch.evaluation.out_of_fold import write_out_of_fold
from hambatch.scoring.options import ScoreOptions
from hambatch.scoring.run import score
from hambatch.sinks.publish import record_path
from hambatch.system.files import sha256_of_file
from hambatch.training.assembly import calibrated_manifest
from hambatch.training.calibrate import (
    fit_temperature,
    floored,
    improvements,
    record_calibration,
)
from hambatch.training.dataset import labels_of, read_dataset
from hambatch.training.held_out import score_held_out
from tests.engines.fitted import calibration_of
from tests.faults.soft_engine import SecondOpinion, write_soft_engine
from tests.training.conftest import write_split


@pytest.fixture
def engine(tmp_path: Path) -> Path:
    """A soft engine that is right about most validation images of its split table."""
    return write_soft_engine(tmp_path / "soft")


@pytest.fixture
def table(engine: Path, split: Path) -> Path:
    return mostly_agreed(split, engine)


def mostly_agreed(split: Path, engine: Path) -> Path:
    """Give the split table the engine's own diagnoses, but for every third image."""
    rows = pd.read_csv(split, dtype=str, keep_default_na=False)
    opinion, root = SecondOpinion(engine), split.parent / "ham"
    for k, place in enumerate(rows.index[rows["split"] == "val"]):
        found = opinion.of((root / rows["file"][place]).read_bytes())
        assert found is not None
        if k % 3:
            rows.loc[place, "dx"] = CLASSES[int(found.argmax())]
    rows.to_csv(split, index=False)
    return split


def calibrate(engine: Path, table: Path, *more: object) -> Result:
    arguments = ["engines", "calibrate", engine, "--data", table, *more]
    return CliRunner().invoke(hambatch, list(map(str, arguments)))


class Calibrated(NamedTuple):
    """An engine that was calibrated by the command: no test changes it or its split table."""

    engine: Path
    table: Path
    graph: bytes
    done: Result


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory: pytest.TempPathFactory) -> Calibrated:
    place = tmp_path_factory.mktemp("calibrated")
    engine = write_soft_engine(place / "soft")
    table, graph = mostly_agreed(write_split(place), engine), (engine / "model.onnx").read_bytes()
    return Calibrated(engine, table, graph, calibrate(engine, table))


def temperature(engine: Path) -> float:
    calibration = read_manifest(engine).calibration
    assert calibration is not None
    return calibration.temperature


def test_it_is_written_with_what_it_was_fitted_on(calibrated: Calibrated, tmp_path: Path) -> None:
    _, table, graph, done = calibrated
    engine = Path(shutil.copytree(calibrated.engine, tmp_path / "soft"))
    assert done.exit_code == 0, done.exception
    assert "fitted on 21 images of 14 lesions (split val of table" in done.output
    assert "ECE" in done.output
    found = load_engine(engine).manifest.calibration
    assert found is not None
    about = found.fitted_on
    assert (about.source, about.parts, about.precision) == ("scored", ("val",), "fp32")
    assert about.split_sha256 == read_dataset(table).split_sha256
    assert found.log_loss.after < found.log_loss.before
    assert (engine / "model.onnx").read_bytes() == graph
    before = (engine / "engine.json").read_bytes()
    # Of the graph, not of what it was calibrated to: a second time gives the same bytes.
    assert calibrate(engine, table).exit_code == 0
    assert (engine / "engine.json").read_bytes() == before
    # So does training, but not where the validation images were trained on.
    dataset, uncalibrated = read_dataset(table), replace(read_manifest(engine), calibration=None)
    write_manifest(engine, uncalibrated)
    assert calibrated_manifest(dataset, engine).calibration == found
    seen = replace(uncalibrated, data={"trained_on": ["train", "val"]})
    write_manifest(engine, seen)
    assert calibrated_manifest(dataset, engine).calibration is None
    # But by the predictions that such a training has left, it is calibrated to the same.
    left = engine.parent / "out_of_fold.csv"
    again = calibrated_manifest(dataset, engine, left).calibration
    assert again is not None
    assert (again.temperature, again.fitted_on.source) == (found.temperature, "out of fold")
    assert again.fitted_on.parts == ("val",)


def test_a_mean_of_networks_is_calibrated_by_its_own_scores_of_the_gate_images(
    calibrated: Calibrated, tmp_path: Path
) -> None:
    engine = Path(shutil.copytree(calibrated.engine, tmp_path / "soft"))
    manifest = replace(
        read_manifest(engine),
        calibration=None,
        training={"networks_averaged": 5},
        data={"trained_on": ["train", "val"]},
    )
    write_manifest(engine, manifest)
    dataset = read_dataset(calibrated.table)
    assert calibrated_manifest(dataset, engine).calibration is None
    parts = dataset.table["split"].replace("val", "gate")
    held_out = replace(dataset, table=dataset.table.assign(split=parts))
    found = calibrated_manifest(held_out, engine).calibration
    assert found is not None
    assert (found.fitted_on.source, found.fitted_on.parts) == ("scored", ("gate",))


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--split", "test"], "would flatter every figure"),
        (["--split", "val", "--split", "test"], "would flatter every figure"),
        (["--split", "train"], "was trained on split train"),
    ],
)
def test_the_test_part_and_what_was_trained_on_are_refused(
    engine: Path, split: Path, more: list[str], says: str
) -> None:
    done = calibrate(engine, split, *more)
    assert isinstance(done.exception, InputError)
    assert says in str(done.exception)
    assert "\nNext: " in str(done.exception)


def test_another_split_table_than_that_of_the_training_is_refused(
    engine: Path, split: Path
) -> None:
    write_manifest(engine, replace(read_manifest(engine), data={"split_sha256": "0" * 64}))
    with pytest.raises(InputError, match="was trained with"):
        score_held_out(load_engine(engine), read_dataset(split), ("val",), "fp32")


def test_predictions_that_are_all_right_are_refused(
    engine: Path, table: Path, tmp_path: Path
) -> None:
    dataset = read_dataset(table)
    right = np.eye(7)[labels_of(dataset.table["dx"])] * 0.3 + 0.1
    folds = write_out_of_fold(tmp_path, dataset.table, right, dataset.split_sha256, {})
    done = calibrate(engine, table, "--predictions", folds)
    assert isinstance(done.exception, InputError)
    assert "no temperature fits 21 predictions" in str(done.exception)


def test_a_table_of_score_gives_the_same_and_a_calibrated_one_is_refused(
    calibrated: Calibrated, tmp_path: Path
) -> None:
    table, out = calibrated.table, tmp_path / "preds.csv"
    engine = Path(shutil.copytree(calibrated.engine, tmp_path / "soft"))
    direct, images = temperature(engine), [table.parent / "ham"]
    for calibration in (True, False):
        options = ScoreOptions(engine=str(engine), calibration=calibration)
        score(images, out, "csv", options, overwrite=True)
        done = calibrate(engine, table, "--predictions", out)
        if calibration:
            assert isinstance(done.exception, InputError)
            assert f"found probabilities of temperature {direct:g}" in str(done.exception)
    assert done.exit_code == 0, done.exception
    views = ScoreOptions(engine=str(engine), calibration=False, tta=2)
    score(images, tmp_path / "views.csv", "csv", views)
    done = calibrate(engine, table, "--predictions", tmp_path / "views.csv")
    assert "found means over 2 views" in str(done.exception)
    found = read_manifest(engine).calibration
    assert found is not None
    assert found.temperature == direct
    assert len(found.fitted_on.predictions_sha256) == 64
    other = read_manifest(engine)
    (engine / "model.onnx").write_bytes((engine / "model.onnx").read_bytes() + b"\x00")
    write_manifest(engine, other)
    assert "found scores of graph" in str(calibrate(engine, table, "--predictions", out).exception)


@pytest.fixture
def folds(table: Path, tmp_path: Path) -> Path:
    """Out-of-fold predictions of the whole table."""
    dataset = read_dataset(table)
    values = np.random.default_rng(0).dirichlet(np.full(7, 0.5), len(dataset.table))
    labels = np.array([CLASSES.index(name) for name in dataset.table["dx"]])
    # Right about two of three.
    for k in range(0, len(labels), 3):
        for place in (k, k + 1):
            values[place] = np.roll(np.sort(values[place]), labels[place] + 1)
    made = {"recipe": "published", "views": 4, "seed": 3, "augmentation": {"zoom": 0.1}}
    return write_out_of_fold(tmp_path, dataset.table, values, dataset.split_sha256, made)


def test_out_of_fold_predictions_may_be_of_training_images(
    engine: Path, table: Path, folds: Path
) -> None:
    parts = ["--split", "train", "--split", "val"]
    done = calibrate(engine, table, "--predictions", folds, *parts, "--dry-run")
    assert "fitted on 42 images" in done.output
    assert read_manifest(engine).calibration is None
    done = calibrate(engine, table, "--predictions", folds, *parts)
    assert done.exit_code == 0, done.exception
    assert "out of fold)" in done.output
    found = read_manifest(engine).calibration
    assert found is not None
    about = found.fitted_on
    assert (about.source, about.parts, about.images) == ("out of fold", ("train", "val"), 42)
    done = calibrate(engine, table, "--predictions", folds, "--split", "test")
    assert "would flatter every figure" in str(done.exception)


def drop_a_row(folds: Path) -> None:
    rows = pd.read_csv(folds, dtype=str, keep_default_na=False)
    rows.iloc[1:].to_csv(folds, index=False)


def drop_a_row_and_say_so(folds: Path) -> None:
    drop_a_row(folds)
    change_record(folds, output={"sha256": sha256_of_file(folds)})


def change_record(folds: Path, **values: object) -> None:
    path = record_path(folds)
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda folds: record_path(folds).unlink(), "cannot be used as the record"),
        (drop_a_row, "wanted the table of its record"),
        (drop_a_row_and_say_so, "0 failed rows and 1 images without a row (image_00)"),
        (lambda folds: change_record(folds, split_sha256="0" * 64), "held out by split table 000"),
        (lambda folds: change_record(folds, training=None), "a record that names no recipe"),
    ],
)
def test_a_table_that_does_not_say_where_it_is_from_is_refused(
    engine: Path, table: Path, folds: Path, spoil: Callable[[Path], None], says: str
) -> None:
    spoil(folds)
    done = calibrate(engine, table, "--predictions", folds)
    assert isinstance(done.exception, InputError)
    assert says in str(done.exception)


def test_predictions_by_networks_of_another_recipe_are_refused(
    engine: Path, table: Path, folds: Path
) -> None:
    training = {"recipe": "published", "views": 4, "seed": 0, "augmentation": {"zoom": 0.1}}
    write_manifest(engine, replace(read_manifest(engine), training=training | {"best_epoch": 7}))
    # Another seed is another network of the same recipe.
    assert calibrate(engine, table, "--predictions", folds, "--dry-run").exit_code == 0
    for other, says in (
        ({"recipe": "finetune"}, "found networks of recipe published, not finetune"),
        ({"augmentation": {"zoom": 0.2}}, "found networks of zoom 0.1, not 0.2"),
        ({"stride_in": "3x3"}, "found networks of stride_in 1x1, not 3x3"),
    ):
        write_manifest(engine, replace(read_manifest(engine), training=training | other))
        done = calibrate(engine, table, "--predictions", folds)
        assert isinstance(done.exception, InputError)
        assert says in str(done.exception)
    assert "hambatch train --data split.csv --recipe published --folds 5" in str(done.exception)


def test_out_of_fold_predictions_on_another_table_than_the_engines_are_refused(
    engine: Path, table: Path, folds: Path
) -> None:
    write_manifest(engine, replace(read_manifest(engine), data={"split_sha256": "0" * 64}))
    done = calibrate(engine, table, "--predictions", folds)
    assert "was trained with" in str(done.exception)


def test_an_engine_that_changed_meanwhile_is_not_written(engine: Path) -> None:
    loaded, found = load_engine(engine), calibration_of(1.5)
    write_manifest(engine, replace(loaded.manifest, licence="another"))
    with pytest.raises(EngineError, match="changed while the temperature was fitted"):
        record_calibration(loaded, found)


Drawn = tuple[NDArray[np.float64], NDArray[np.int64]]


def drawn_at(temperature: float, images: int, seed: int = 0) -> Drawn:
    """Rounded softmax of logits, and a truth that has the odds of them at that temperature."""
    draw = np.random.default_rng(seed)
    logits = draw.normal(0, 2, (images, 7)).astype(np.float32)
    sums = softmax(logits.astype(np.float64) / temperature).cumsum(axis=1)
    truth = (sums < draw.random((images, 1))).sum(axis=1).clip(0, 6)
    return softmax(logits).round(6), truth.astype(np.int64)


@pytest.mark.parametrize("temperature", [0.6, 1.0, 2.5])
def test_a_known_temperature_is_recovered(temperature: float) -> None:
    assert fit_temperature(*drawn_at(temperature, 40_000)) == pytest.approx(temperature, rel=0.02)


def test_no_other_temperature_has_a_smaller_loss() -> None:
    values, truth = drawn_at(1.7, 300)
    found = fit_temperature(values, truth)
    assert found is not None

    def loss(temperature: float) -> float:
        p = tempered(floored(values), temperature)
        return float(-np.log(p[np.arange(300), truth]).mean())

    grid = np.exp(np.linspace(np.log(0.06), np.log(19), 2000))
    assert loss(found) <= min(map(loss, grid)) + 1e-12


def test_the_order_of_the_images_changes_nothing() -> None:
    values, truth = drawn_at(1.7, 500)
    assert fit_temperature(values[::-1], truth[::-1]) == fit_temperature(values, truth)


def test_an_image_called_impossible_does_not_make_the_loss_infinite() -> None:
    values, truth = drawn_at(1.7, 300)
    values[0], truth[0] = np.eye(7)[2], 5
    found = fit_temperature(values, truth)
    assert found is not None
    assert np.isfinite(improvements(values, truth, np.arange(300), found)["log_loss"].after)


def test_predictions_that_are_all_right_or_of_no_use_have_no_temperature() -> None:
    values, _ = drawn_at(1.0, 200)
    assert fit_temperature(values, values.argmax(axis=1)) is None
    assert fit_temperature(values, values.argmin(axis=1)) is None


def test_the_calibration_error_of_an_overconfident_table_falls() -> None:
    values, truth = drawn_at(3.0, 2000)
    found = fit_temperature(values, truth)
    assert found is not None
    changed = improvements(values, truth, np.arange(2000) // 2, found)
    assert changed["ece"].before > 0.2
    assert changed["ece"].after < 0.05
    assert changed["log_loss"].after < changed["log_loss"].before
    for figure in changed.values():
        assert figure.before_interval[0] < figure.before < figure.before_interval[1]
        # An error is never below 0, so what chance adds lifts the interval of a small one.
        assert figure.after < figure.after_interval[1] < figure.before_interval[0]
