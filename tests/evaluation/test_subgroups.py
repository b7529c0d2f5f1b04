"""Figures of parts of the sample are those of the part alone."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hambatch.engines.classes import CLASSES
from hambatch.evaluation.join import join
from hambatch.evaluation.measures import evaluate
from hambatch.evaluation.subgroups import AGE_BANDS, MOST_GROUPS, age_band, subgroups
from hambatch.evaluation.tables import P_COLUMNS


def joined(n=210, **columns):
    rng = np.random.default_rng(0)
    truth = np.arange(n) % 7
    logits = rng.normal(size=(n, 7)) + 1.5 * np.eye(7)[truth]
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    ids = [f"i{k}" for k in range(n)]
    names = np.array(CLASSES)
    labels = pd.DataFrame({"image_id": ids, "dx": names[truth], **columns})
    predictions = pd.DataFrame(p, columns=list(P_COLUMNS))
    fixed = {"image_id": ids, "status": "ok", "prediction": names[p.argmax(1)], "sha256": ""}
    fixed |= {"image": ids, "p_malignant": p[:, [0, 1, 4]].sum(axis=1)}
    return join(labels, predictions.assign(**fixed), Path("preds.csv"))


@pytest.mark.parametrize(
    ("age", "band"),
    [
        ("0", "under 30"),
        ("29.9", "under 30"),
        ("30.0", "30 to 44"),
        ("59", "45 to 59"),
        ("60", "60 to 74"),
        ("75", "75 and over"),
        ("85.0", "75 and over"),
        ("", "unknown"),
        ("nan", "unknown"),
        ("old", "unknown"),
        ("-1", "unknown"),
        ("200", "unknown"),
    ],
)
def test_an_age_falls_into_one_band(age, band):
    assert age_band(age) == band


def test_a_group_has_the_figures_of_its_images_alone():
    sample = joined(sex=["male", "female", ""] * 70)
    found = subgroups(sample)["sex"]
    assert [group["group"] for group in found] == ["female", "male", "unknown"]
    for group, first in zip(found, (1, 0, 2), strict=True):
        part = sample.sample.at(np.arange(first, 210, 3))
        alone = evaluate(part.truth, part.predicted, part.probabilities)
        assert group["images"] == group["lesions"] == 70
        assert group["balanced_accuracy"] == alone["balanced_accuracy"]
        assert group["melanoma_sensitivity"] == alone["classes"]["mel"]["sensitivity"]
        assert group["roc_auc_malignant"] == pytest.approx(alone["roc_auc_malignant"])
        for name, (low, high) in group["intervals"].items():
            assert low <= group[name] <= high


def test_the_groups_of_a_column_hold_every_image_once():
    rng = np.random.default_rng(1)
    ages = [str(5.0 * k) if k else "" for k in rng.integers(0, 18, 210)]
    found = subgroups(joined(age=ages, dx_type=["histo"] * 210))
    assert [group["group"] for group in found["age"]] == [*AGE_BANDS, "unknown"]
    for groups in found.values():
        assert sum(group["images"] for group in groups) == 210


def test_lesions_are_counted_and_drawn_whole():
    lesions = [f"L{k // 6}" for k in range(210)]
    group = subgroups(joined(sex=["male"] * 210, lesion_id=lesions))["sex"][0]
    assert (group["images"], group["lesions"]) == (210, 35)


def test_groups_below_twenty_images_are_marked():
    found = subgroups(joined(localization=["back"] * 20 + ["ear"] * 19 + ["face"] * 171))
    small = {group["group"]: group["small"] for group in found["localization"]}
    assert small == {"back": False, "ear": True, "face": False}


def test_a_group_of_one_class_has_what_can_be_measured():
    # Every seventh image is akiec: no melanoma, and nothing benign.
    found = subgroups(joined(sex=["male", *["female"] * 6] * 30))["sex"]
    male = next(group for group in found if group["group"] == "male")
    assert (male["classes"], male["melanomas"], male["malignant"]) == (1, 0, 30)
    assert male["melanoma_sensitivity"] is male["roc_auc_malignant"] is None
    assert male["intervals"]["melanoma_sensitivity"] is None
    assert male["balanced_accuracy"] is not None


def test_free_text_does_not_make_a_table_without_end():
    found = subgroups(joined(localization=[f"place {k}" for k in range(210)]))["localization"]
    assert len(found) == MOST_GROUPS + 1
    assert found[-1]["group"] == "other"


def test_there_are_no_subgroups_without_columns():
    assert subgroups(joined()) == {}
