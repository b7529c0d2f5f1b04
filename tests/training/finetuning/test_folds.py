"""Folds of fine-tuning: each has its work folder, goes on, and predicts what it never saw."""

import csv
import json
from dataclasses import replace

import pandas as pd
import pytest

from hambatch.engines.classes import CLASSES
from hambatch.evaluation.evaluate import compare
from hambatch.system.files import sha256_of_bytes
from hambatch.training.dataset import Dataset
from hambatch.training.finetuning import recipe as module
from hambatch.training.finetuning.recipe import best_mean_step, fine_tuned_folds
from hambatch.training.folds import cross_validate, format_folds
from tests.training.finetuning.tiny import OPTIONS, TUNE, coloured, tiny_base

FOLDED = replace(OPTIONS, folds=2, finetune=replace(TUNE, steps=4, val_every=2))


@pytest.fixture(autouse=True)
def _tiny(monkeypatch):
    """Of ResNet50's layers a few weights each: the real base takes minutes."""
    monkeypatch.setattr(module, "load_base", lambda weights, side=224: tiny_base())


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Four lesions of each class, with two photographs each."""
    root = tmp_path_factory.mktemp("folds")
    rows = []
    for label in range(7):
        for k in range(8):
            content = coloured(label, k)
            name = f"i{label}{k}"
            (root / f"{name}.jpg").write_bytes(content)
            lesion = f"L{label}{k // 2}"
            row = {"image_id": name, "lesion_id": lesion, "group": lesion, "dx": CLASSES[label]}
            sha256 = sha256_of_bytes(content)
            rows.append(row | {"file": f"{name}.jpg", "sha256": sha256, "split": "train"})
    return Dataset(pd.DataFrame(rows), root, "0" * 64)


def validate(dataset, work):
    return cross_validate(dataset, fine_tuned_folds(dataset, work, FOLDED, work), FOLDED, work)


def test_every_image_is_predicted_once_by_a_network_that_never_saw_its_lesion(dataset, tmp_path):
    report = json.loads(json.dumps(validate(dataset, tmp_path)))
    with (tmp_path / "folds.csv").open() as stream:
        folds = list(csv.DictReader(stream))
    assert {row["image_id"] for row in folds} == set(dataset.table["image_id"])
    assert len({(row["lesion_id"], row["fold"]) for row in folds}) == 28
    found = compare(tmp_path / "out_of_fold.csv", tmp_path / "folds.csv")
    assert found["n"] == 56
    assert found["balanced_accuracy"] == pytest.approx(report["pooled"]["balanced_accuracy"])
    assert report["best_mean_step"]["step"] in (2, 4)
    assert [fold["steps_run"] for fold in report["folds"]] == [4, 4]
    assert "best step in the mean: " in format_folds(report)


def test_each_fold_goes_on_from_its_own_checkpoint(dataset, tmp_path):
    validate(dataset, tmp_path)
    before = (tmp_path / "out_of_fold.csv").read_bytes()
    second = tmp_path / "fold-1" / "steps.npz"
    first = (tmp_path / "fold-0" / "steps.npz").read_bytes()
    second.unlink()
    validate(dataset, tmp_path)
    assert (tmp_path / "out_of_fold.csv").read_bytes() == before
    assert (tmp_path / "fold-0" / "steps.npz").read_bytes() == first
    assert second.is_file()


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
