"""Folds: every image is tested once, no lesion is on two sides, figures are means."""

import numpy as np
import pandas as pd
import pytest

from hambatch.engines.classes import CLASSES
from hambatch.evaluation.measures import evaluate
from hambatch.training.folds import class_balanced_f1, fold_parts, format_folds, mean_of_folds
from hambatch.training.options import TrainOptions


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
    assert accuracy["t_interval_95"] == pytest.approx([0.512201, 0.687799], abs=1e-4)


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
