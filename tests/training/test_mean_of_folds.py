"""A final training as the mean of folds: its weights, and predictions that no network has seen."""

import csv
import json
from dataclasses import replace
from unittest.mock import patch

import numpy as np
import pytest

from hambatch.evaluation.evaluate import compare
from hambatch.training.finetuning import recipe as module
from hambatch.training.finetuning.recipe import FineTuning
from hambatch.training.mean_of_folds import fit_mean_of_folds
from tests.training.finetuning.tiny import OPTIONS, TUNE, tiny_base, tiny_dataset

MEAN = replace(OPTIONS, folds=3, finetune=replace(TUNE, steps=3, final=True))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return tiny_dataset(tmp_path_factory.mktemp("images"))


def fit(dataset, work):
    """Fit, and keep what each fold's network had before the mean was taken."""
    networks = []
    original = FineTuning.fit

    def fit_and_keep(self, *args, **bound):
        fitted = original(self, *args, **bound)
        networks.append(fitted.network.get_weights())
        return fitted

    with (
        patch.object(module, "load_base", lambda weights, side, stride_in: tiny_base()),
        patch.object(FineTuning, "fit", fit_and_keep),
    ):
        fitted = fit_mean_of_folds(dataset, FineTuning(dataset, work, MEAN), MEAN, work)
    return fitted, work / "out_of_fold.csv", networks


@pytest.fixture(scope="module")
def fitted(dataset, tmp_path_factory):
    work = tmp_path_factory.mktemp("work")
    return *fit(dataset, work), work


def test_its_weights_are_the_mean_of_those_of_all_folds(fitted) -> None:
    network, networks = fitted[0].network, fitted[2]
    assert len(networks) == 3
    moved = 0.0
    for found, *of_folds in zip(network.get_weights(), *networks, strict=True):
        np.testing.assert_allclose(found, np.mean(of_folds, axis=0), rtol=1e-5, atol=1e-7)
        moved += float(np.abs(of_folds[0] - of_folds[1]).sum())
    assert moved > 0
    assert fitted[0].outcome == {"steps_run": 3, "best_step": None, "networks_averaged": 3}


def test_every_image_is_predicted_by_the_network_that_did_not_see_its_lesion(
    dataset, fitted
) -> None:
    _, table, _, work = fitted
    with (work / "folds.csv").open() as stream:
        folds = list(csv.DictReader(stream))
    assert {row["image_id"] for row in folds} == set(dataset.table["image_id"])
    assert len({(row["lesion_id"], row["fold"]) for row in folds}) == 28
    found, report = (
        compare(table, work / "folds.csv"),
        json.loads((work / "folds.json").read_text()),
    )
    assert found["n"] == report["images"] == 56
    assert found["balanced_accuracy"] == pytest.approx(report["pooled"]["balanced_accuracy"])
    # Of all images that are not in the fold, none is kept back to validate with.
    assert "best_mean_step" not in report


def test_an_interrupted_training_gives_the_same_mean(dataset, fitted) -> None:
    first, _, _, work = fitted
    weights = [values.copy() for values in first.network.get_weights()]
    (work / "fold-2" / "steps.npz").unlink()
    again, _, _ = fit(dataset, work)
    for found, wanted in zip(again.network.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(found, wanted)
