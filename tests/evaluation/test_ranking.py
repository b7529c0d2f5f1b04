"""Curves, and areas under them, in draws in which images occur several times or not at all."""

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from hambatch.evaluation.ranking import (
    POINTS,
    average_precision,
    precision_recall_curve,
    rank,
    roc_area,
    roc_area_above,
    roc_curve,
)


def weighted_case(seed):
    """Scores that tie, and four draws of them; the last one is the sample itself."""
    rng = np.random.default_rng(seed)
    positive = rng.random(120) < 0.3
    scores = (rng.normal(size=120) + positive).round(1)
    weights = np.vstack([rng.multinomial(120, np.full(120, 1 / 120), 3), np.ones((1, 120))])
    return positive, scores, weights.astype(float)


@pytest.mark.parametrize("seed", range(4))
def test_every_draw_equals_scikit_learn_with_its_weights(seed):
    positive, scores, weights = weighted_case(seed)
    counts = rank(positive, scores).counts(weights)
    for k, row in enumerate(weights):
        wanted = sklearn_metrics.roc_auc_score(positive, scores, sample_weight=row)
        assert roc_area(counts)[k] == pytest.approx(wanted)
        wanted = sklearn_metrics.average_precision_score(positive, scores, sample_weight=row)
        assert average_precision(counts)[k] == pytest.approx(wanted)


@pytest.mark.parametrize("seed", range(4))
def test_the_area_above_a_sensitivity_is_that_part_of_the_curve(seed):
    positive, scores, weights = weighted_case(seed)
    counts = rank(positive, scores).counts(weights)
    assert roc_area_above(counts, 0) == pytest.approx(roc_area(counts))
    for k, row in enumerate(weights):
        fpr, tpr, _ = sklearn_metrics.roc_curve(positive, scores, sample_weight=row)
        fine = np.linspace(0, 1, 200_001)
        height = np.interp(fine, fpr, tpr)
        wanted = np.where(height >= 0.8, height, 0).mean()
        assert roc_area_above(counts, 0.8)[k] == pytest.approx(wanted, abs=2e-3)


def test_a_draw_without_positives_has_no_area():
    positive = np.array([True, False, False])
    counts = rank(positive, np.array([0.9, 0.5, 0.1])).counts(np.array([[0, 2, 1], [3, 0, 0.0]]))
    assert np.isnan(roc_area(counts)).all()
    assert np.isnan(roc_area_above(counts, 0.8)).all()
    assert np.isnan(average_precision(counts)).tolist() == [True, False]


def test_a_short_curve_is_whole_and_starts_above_all_scores():
    curve = roc_curve(np.array([True, False, True]), np.array([0.9, 0.4, 0.4]))
    assert curve == {
        "positives": 2,
        "negatives": 1,
        "points_before_thinning": 3,
        "threshold": [None, 0.9, 0.4],
        "fpr": [0, 0, 1],
        "tpr": [0, 0.5, 1],
    }


def test_a_long_curve_keeps_its_ends_and_almost_all_of_its_area():
    rng = np.random.default_rng(0)
    positive = rng.random(5000) < 0.3
    scores = rng.normal(size=5000) + positive
    curve = roc_curve(positive, scores)
    assert curve["points_before_thinning"] == 5001
    assert POINTS / 2 < len(curve["tpr"]) <= POINTS
    assert (curve["fpr"][0], curve["tpr"][0], curve["fpr"][-1], curve["tpr"][-1]) == (0, 0, 1, 1)
    area = sklearn_metrics.auc(curve["fpr"], curve["tpr"])
    assert area == pytest.approx(sklearn_metrics.roc_auc_score(positive, scores), abs=0.001)
    # Each point is one of the curve: its threshold gives its rates.
    middle = len(curve["tpr"]) // 2
    called = scores >= curve["threshold"][middle]
    assert called[positive].mean() == pytest.approx(curve["tpr"][middle])


def test_without_negatives_there_is_no_curve():
    curve = roc_curve(np.array([True, True]), np.array([0.1, 0.2]))
    assert (curve["tpr"], curve["fpr"], curve["threshold"]) == ([], [], [])


def test_every_point_of_a_precision_recall_curve_is_that_of_scikit_learn():
    positive, scores, _ = weighted_case(3)
    curve = precision_recall_curve(positive, scores)
    precision, recall, thresholds = sklearn_metrics.precision_recall_curve(positive, scores)
    wanted = dict(zip(thresholds, zip(precision, recall, strict=False), strict=False))
    found = zip(curve["threshold"], curve["precision"], curve["recall"], strict=True)
    assert {t: pytest.approx(pair) for t, *pair in found} == {
        t: list(pair) for t, pair in wanted.items()
    }
    assert curve["prevalence"] == positive.mean()


def test_a_long_precision_recall_curve_is_thinned_and_keeps_its_area_and_its_end():
    rng = np.random.default_rng(0)
    positive = rng.random(5000) < 0.1
    scores = rng.normal(size=5000) + 2 * positive
    curve = precision_recall_curve(positive, scores)
    assert curve["points_before_thinning"] == 5000
    assert POINTS / 2 < len(curve["recall"]) <= POINTS
    assert (curve["recall"][-1], curve["precision"][-1]) == (1, curve["prevalence"])
    area = (np.diff(curve["recall"], prepend=0) * curve["precision"]).sum()
    whole = sklearn_metrics.average_precision_score(positive, scores)
    assert area == pytest.approx(whole, abs=0.01)


def test_precision_needs_positives_and_no_negatives():
    scores = np.array([0.1, 0.2])
    assert precision_recall_curve(np.array([False, False]), scores)["recall"] == []
    curve = precision_recall_curve(np.array([True, True]), scores)
    assert (curve["recall"], curve["precision"], curve["prevalence"]) == ([0.5, 1], [1, 1], 1)


def test_any_threshold_finds_its_place_in_the_counts():
    positive, scores, weights = weighted_case(0)
    ranking = rank(positive, scores)
    thresholds = np.array([99.0, scores.max(), 0.33, 0.3, scores.min(), -99.0])
    true = ranking.counts(weights).true[:, ranking.places_of(thresholds)]
    for k, threshold in enumerate(thresholds):
        assert np.allclose(true[:, k], weights @ (positive & (scores >= threshold)))
