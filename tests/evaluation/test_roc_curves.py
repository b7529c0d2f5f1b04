import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from hambatch.evaluation.ranking import POINTS, roc_curve


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
