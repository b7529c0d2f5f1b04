import json

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from hambatch.engines.classes import CLASSES
from hambatch.evaluation.measures import confusion_matrix, evaluate
from hambatch.evaluation.ranking import roc_auc

AKIEC, BCC, BKL, DF, MEL, NV, VASC = range(7)


def random_case(seed, classes=7, n=400):
    """Predictions better than chance, with two decimals, so that scores tie."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, n)
    logits = rng.normal(size=(n, 7)) + 1.2 * np.eye(7)[truth]
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    probabilities = probabilities.round(2)
    return truth, probabilities.argmax(axis=1), probabilities


def test_a_case_small_enough_to_do_by_hand():
    truth = np.array([MEL, MEL, NV, NV, NV, BCC])
    predicted = np.array([MEL, NV, NV, NV, MEL, BCC])
    probabilities = np.zeros((6, 7))
    probabilities[:, MEL] = [0.9, 0.4, 0.1, 0.4, 0.6, 0.0]
    probabilities[:, BCC] = [0.0, 0.0, 0.0, 0.0, 0.0, 0.7]
    figures = evaluate(truth, predicted, probabilities)
    assert figures["n"] == 6
    assert figures["accuracy"] == pytest.approx(4 / 6)
    assert figures["balanced_accuracy"] == pytest.approx((1 / 2 + 2 / 3 + 1) / 3)
    assert figures["macro_f1"] == pytest.approx((1 / 2 + 2 / 3 + 1) / 3)
    assert figures["classes"]["mel"] == {
        "support": 2,
        "sensitivity": 1 / 2,
        "specificity": 3 / 4,
        "precision": 1 / 2,
        "f1": 1 / 2,
        # Above 0.1, 0.4, 0.6, 0.0: 0.9 beats all four, 0.4 beats two and ties with one.
        "roc_auc": pytest.approx((4 + 2.5) / 8),
        # Called at 0.9: 1 of 1; at 0.4: 2 of 4.
        "average_precision": pytest.approx((1 + 2 / 4) / 2),
    }
    # Malignant 0.9, 0.4, 0.7 against benign 0.1, 0.4, 0.6.
    assert figures["roc_auc_malignant"] == pytest.approx((3 + 1.5 + 3) / 9)
    assert figures["confusion_matrix"][NV] == [0, 0, 0, 0, 1, 2, 0]


def test_what_would_divide_by_zero_is_none_and_is_left_out_of_the_means():
    truth, predicted = np.array([NV, NV]), np.array([NV, NV])
    figures = evaluate(truth, predicted, np.eye(7)[predicted])
    assert figures["balanced_accuracy"] == figures["macro_f1"] == 1
    assert figures["roc_auc_malignant"] is figures["roc_auc_melanoma"] is None
    assert figures["classes"]["nv"]["specificity"] is None
    assert figures["classes"]["df"]["precision"] is figures["classes"]["df"]["sensitivity"] is None
    json.dumps(figures, allow_nan=False)


@pytest.mark.parametrize(("seed", "classes"), [(0, 7), (1, 7), (2, 5), (3, 3)])
def test_figures_equal_scikit_learn(seed, classes):
    truth, predicted, probabilities = random_case(seed, classes)
    figures = evaluate(truth, predicted, probabilities)
    assert figures["accuracy"] == pytest.approx(sklearn_metrics.accuracy_score(truth, predicted))
    _, recall, f1, support = sklearn_metrics.precision_recall_fscore_support(
        truth, predicted, labels=range(7), zero_division=0
    )
    present = support > 0
    assert figures["balanced_accuracy"] == pytest.approx(recall[present].mean())
    occurs = np.union1d(truth, predicted)
    assert figures["macro_f1"] == pytest.approx(f1[occurs].mean())
    precision = sklearn_metrics.precision_score(
        truth, predicted, labels=range(7), average=None, zero_division=0
    )
    for k, name in enumerate(CLASSES):
        mine = figures["classes"][name]
        assert mine["support"] == support[k]
        assert (mine["precision"] or 0) == pytest.approx(precision[k])
        assert (mine["sensitivity"] or 0) == pytest.approx(recall[k])
        assert (mine["f1"] or 0) == pytest.approx(f1[k])
        expected = sklearn_metrics.recall_score(truth != k, predicted != k)
        assert mine["specificity"] == pytest.approx(expected)
    wanted = sklearn_metrics.confusion_matrix(truth, predicted, labels=range(7))
    assert figures["confusion_matrix"] == wanted.tolist()


@pytest.mark.parametrize(("seed", "classes"), [(0, 7), (1, 7), (2, 5), (3, 3)])
def test_areas_equal_scikit_learn_where_a_class_occurs(seed, classes):
    truth, predicted, probabilities = random_case(seed, classes)
    figures = evaluate(truth, predicted, probabilities)
    for k, name in enumerate(CLASSES):
        expected = (
            pytest.approx(sklearn_metrics.roc_auc_score(truth == k, probabilities[:, k]))
            if k < classes
            else None
        )
        assert figures["classes"][name]["roc_auc"] == expected
        if k < classes:
            expected = sklearn_metrics.average_precision_score(truth == k, probabilities[:, k])
            assert figures["classes"][name]["average_precision"] == pytest.approx(expected)
        else:
            assert figures["classes"][name]["average_precision"] is None
    for what in ("roc_auc", "average_precision"):
        assert figures[f"{what}_melanoma"] == figures["classes"]["mel"][what]
    if classes > 2:
        score = probabilities[:, [AKIEC, BCC, MEL]].sum(axis=1).round(6)
        wanted = sklearn_metrics.roc_auc_score(np.isin(truth, [AKIEC, BCC, MEL]), score)
        assert figures["roc_auc_malignant"] == pytest.approx(wanted)
        wanted = sklearn_metrics.average_precision_score(np.isin(truth, [AKIEC, BCC, MEL]), score)
        assert figures["average_precision_malignant"] == pytest.approx(wanted)


def test_equal_malignant_sums_tie_whatever_the_order_of_addition():
    truth = np.array([MEL, NV])
    probabilities = np.zeros((2, 7))
    probabilities[0, [AKIEC, BCC, MEL]] = [0.1, 0.2, 0.3]
    probabilities[1, [AKIEC, BCC, MEL]] = [0.3, 0.2, 0.1]
    assert probabilities[0].sum() != probabilities[1].sum()
    assert evaluate(truth, truth, probabilities)["roc_auc_malignant"] == 0.5


def test_constant_scores_say_nothing():
    assert roc_auc(np.array([True, False, False]), np.full(3, 0.3)) == 0.5


def test_confusion_rows_are_the_truth():
    matrix = confusion_matrix(np.array([MEL, MEL]), np.array([NV, NV]))
    assert matrix[MEL, NV] == 2
    assert matrix.sum() == 2


@pytest.mark.parametrize(
    ("truth", "predicted", "probabilities", "message"),
    [
        ([], [], np.zeros((0, 7)), "n > 0"),
        ([0, 1], [0], np.zeros((2, 7)), "wanted"),
        ([0], [0], np.zeros((1, 6)), r"\(1, 7\)"),
        ([7], [0], np.zeros((1, 7)), "0 to 6"),
        ([0], [-1], np.zeros((1, 7)), "0 to 6"),
        ([0], [0], np.full((1, 7), np.nan), "0 to 1"),
    ],
)
def test_arrays_that_make_no_sense_are_refused(truth, predicted, probabilities, message):
    with pytest.raises(ValueError, match=message):
        evaluate(np.array(truth, np.int64), np.array(predicted, np.int64), probabilities)
