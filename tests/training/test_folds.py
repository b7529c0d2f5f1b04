"""Folds: every image is tested once, no lesion is on two sides, figures are means."""

import csv
import json
from dataclasses import replace
from unittest.mock import patch

import numpy as np
import pandas as pd
import pytest

from hambatch.engines.classes import CLASSES
from hambatch.evaluation.evaluate import compare
from hambatch.evaluation.measures import evaluate
from hambatch.training.finetuning import recipe as module
from hambatch.training.finetuning.recipe import FineTuning
from hambatch.training.folds import (
    best_mean_step,
    class_balanced_f1,
    cross_validate,
    fold_parts,
    format_folds,
    mean_of_folds,
)
from hambatch.training.options import TrainOptions
from tests.training.finetuning.tiny import OPTIONS, TUNE, tiny_base, tiny_dataset


@pytest.fixture
def table():
    draw = np.random.default_rng(0)
    lesion = np.sort(draw.integers(0, 210, 400))
    dx = [CLASSES[k % 7] for k in lesion]
    return pd.DataFrame({"image_id": range(400), "group": lesion.astype(str), "dx": dx})


def test_every_image_is_tested_once_and_no_lesion_is_on_two_sides(table):
    options = TrainOptions(folds=5)
    tested = []
    for fold in range(5):
        parts = fold_parts(table, fold, options)
        assert sum(len(part) for part in parts) == len(table)
        lesions = [set(part["group"]) for part in parts]
        assert not (lesions[0] & lesions[1] | lesions[0] & lesions[2] | lesions[1] & lesions[2])
        assert all(set(part["dx"]) == set(CLASSES) for part in parts)
        tested += list(parts[2]["image_id"])
    assert sorted(tested) == list(range(400))


def figures(correct):
    truth = np.arange(70) % 7
    predicted = np.where(np.arange(70) < correct, truth, (truth + 1) % 7)
    return evaluate(truth, predicted, np.eye(7)[predicted])


def test_the_t_interval_is_students():
    mean = mean_of_folds([figures(correct) for correct in (35, 42, 49, 42, 42)])
    accuracy = mean["accuracy"]
    assert accuracy["mean"] == pytest.approx(0.6)
    # scipy.stats.t.interval(0.95, 4, 0.6, sem)
    assert accuracy["t_interval_95"] == pytest.approx([0.512201, 0.687799], abs=1e-6)


def test_a_figure_that_no_fold_defines_stays_undefined():
    truth = np.arange(70) % 6
    found = evaluate(truth, truth, np.eye(7)[truth])
    mean = mean_of_folds([found, found])
    assert mean["classes"]["vasc"]["precision"] is None
    assert mean["classes"]["nv"]["f1"] == 1.0


def test_class_balanced_f1_does_not_depend_on_how_many_images_a_class_has():
    counts = np.full((7, 7), 2) + 8 * np.eye(7, dtype=int)
    scaled = counts * np.array([[1], [10], [3], [1], [5], [100], [2]])
    assert class_balanced_f1(counts) == pytest.approx(class_balanced_f1(scaled))
    assert class_balanced_f1(scaled)["nv"] == pytest.approx(10 / 22)


def test_a_class_that_a_fold_has_no_image_of_has_no_class_balanced_f1_there():
    counts = np.diag([4, 4, 4, 0, 4, 4, 4])
    assert class_balanced_f1(counts)["df"] is None
    assert class_balanced_f1(counts)["mel"] == 1.0


def test_the_table_shows_the_published_figures_beside_ours():
    folds = [figures(40), figures(50)]
    pooled = {**figures(45), "intervals": {"accuracy": [0, 1], "balanced_accuracy": [0, 1]}}
    report = {
        "folds": folds,
        "images": 140,
        "mean_of_folds": mean_of_folds(folds),
        "pooled": pooled,
    }
    lines = format_folds(report).splitlines()
    assert lines[0] == "2 folds by lesion, 140 images"
    assert any("0.6502" in line for line in lines)
    assert lines[-1].split()[0] == "vasc"
    assert lines[-1].split()[-1] == "0.97"


def fold(*accuracies):
    lines = [
        {"step": 10 * k, "val_balanced_accuracy": value} for k, value in enumerate(accuracies, 1)
    ]
    return {"validations": lines}


def test_the_best_step_is_of_the_mean_and_of_steps_that_every_fold_has():
    found = best_mean_step([fold(0.5, 0.9, 0.6, 1.0), fold(0.6, 0.3, 0.7)])["best_mean_step"]
    assert found["step"] == 30
    assert found["val_balanced_accuracy"] == pytest.approx(0.65)
    assert found["of_steps"] == [10, 20, 30]
    assert best_mean_step([fold(0.5, 0.5)])["best_mean_step"]["step"] == 10
    assert best_mean_step([{"fold": 0}]) == {}


FOLDED = replace(OPTIONS, folds=2, finetune=replace(TUNE, steps=4, val_every=2))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return tiny_dataset(tmp_path_factory.mktemp("folds"))


def validate(dataset, work):
    # Of ResNet50's layers a few weights each: the real base takes minutes.
    with patch.object(module, "load_base", lambda weights, side, stride_in: tiny_base()):
        return cross_validate(dataset, FineTuning(dataset, work, FOLDED), FOLDED, work)


@pytest.fixture(scope="module")
def validated(dataset, tmp_path_factory):
    work = tmp_path_factory.mktemp("work")
    return json.loads(json.dumps(validate(dataset, work))), work


def test_every_image_is_predicted_once_by_a_network_that_never_saw_its_lesion(dataset, validated):
    report, work = validated
    with (work / "folds.csv").open() as stream:
        folds = list(csv.DictReader(stream))
    assert {row["image_id"] for row in folds} == set(dataset.table["image_id"])
    assert len({(row["lesion_id"], row["fold"]) for row in folds}) == 28
    found = compare(work / "out_of_fold.csv", work / "folds.csv")
    assert found["n"] == 56
    assert found["balanced_accuracy"] == pytest.approx(report["pooled"]["balanced_accuracy"])
    assert report["best_mean_step"]["step"] in (2, 4)
    assert [fold["steps_run"] for fold in report["folds"]] == [4, 4]
    assert "best step in the mean: " in format_folds(report)


def test_each_fold_resumes_from_its_own_checkpoint(dataset, validated):
    _, work = validated
    before = (work / "out_of_fold.csv").read_bytes()
    second = work / "fold-1" / "steps.npz"
    first = (work / "fold-0" / "steps.npz").read_bytes()
    second.unlink()
    validate(dataset, work)
    assert (work / "out_of_fold.csv").read_bytes() == before
    assert (work / "fold-0" / "steps.npz").read_bytes() == first
    assert second.is_file()
