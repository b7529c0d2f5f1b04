"""Figures equal those of scikit-learn, the challenge's those of its own package."""

import json

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from hambatch.engines.classes import CLASSES
from hambatch.evaluation.measures import MEASURES, confusion_matrix, evaluate, isic_figures
from hambatch.evaluation.sample import Sample

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
    figures = evaluate(np.array([MEL, NV, NV]), np.array([NV, NV, NV]), np.full((3, 7), 0.3))
    assert figures["classes"]["mel"]["roc_auc"] == 0.5


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


# What isic-challenge-scoring 5.6.0 (github.com/ImageMarkup/isic-challenge-scoring) gives for
# `isic_case()`: ClassificationScore(...).per_category, macro_average and aggregate, weights 1.
BALANCED_ACCURACY = 0.595093795093795
# accuracy, sensitivity, specificity, dice, ppv, npv, auc, auc_sens_80, ap
BY_CLASS = """
akiec 0.9142857143 0.6363636364 0.9661016949 0.7 0.7777777778 0.9344262295
      0.7688751926 0.5413559322 0.6264809752
bcc   0.9428571429 0.6 1.0 0.75 1.0 0.9375
      0.7775 0.4266666667 0.696207265
bkl   0.9142857143 0.4444444444 0.9836065574 0.5714285714 0.8 0.9230769231
      0.9207650273 0.8063023679 0.7108796296
df    0.9142857143 0.5 1.0 0.6666666667 1.0 0.90625
      0.7607758621 0.427816092 0.6353479853
mel   0.8571428571 0.3333333333 0.9344262295 0.375 0.4285714286 0.9047619048
      0.6284153005 0.1021493625 0.3655809367
nv    0.9285714286 0.7272727273 0.9661016949 0.7619047619 0.8 0.95
      0.9514637904 0.9244992296 0.8018476692
vasc  0.9285714286 0.375 1.0 0.5454545455 1.0 0.9253731343
      0.7298387097 0.1835887097 0.5509884625
mean  0.9142857143 0.5166305916 0.9786051681 0.6243506494 0.829478458 0.9259125988
      0.7910905547 0.4874826229 0.6267618462
""".split()


def isic_case():
    """Seventy images with ties, one of them undecided; whole-number arithmetic alone."""
    k = np.arange(70)
    truth = (k * k + k // 10) % 7
    scores = (k[:, None] * 31 + np.arange(7) * 17 + k[:, None] * np.arange(7) * 5) % 23 + 1.0
    scores[k, (truth + (k % 5 == 0)) % 7] += np.where(k % 3 > 0, 90, 0)
    return truth, (scores / scores.sum(axis=1, keepdims=True)).round(2)


def test_they_equal_the_package_of_the_challenge():
    truth, probabilities = isic_case()
    found = isic_figures(Sample(truth, probabilities.argmax(axis=1), probabilities))
    assert found["balanced_accuracy"] == pytest.approx(BALANCED_ACCURACY, abs=1e-12)
    assert found["undecided"] == 1
    for row in range(8):
        name, *wanted = BY_CLASS[10 * row : 10 * row + 10]
        mine = found["macro_average"] if name == "mean" else found["classes"][name]
        assert [mine[what] for what in MEASURES] == pytest.approx(
            [float(value) for value in wanted], abs=1e-9
        )


def test_several_greatest_probabilities_are_wrong_whatever_the_prediction():
    probabilities = np.zeros((2, 7))
    probabilities[:, [0, 5]] = 0.5
    found = isic_figures(Sample(np.array([0, 5]), np.array([0, 5]), probabilities))
    assert found["balanced_accuracy"] == 0
    assert found["undecided"] == 2
    # 0.5 is not above the threshold.
    assert found["classes"]["akiec"]["sensitivity"] == 0


def test_what_divides_by_zero_is_one_and_areas_of_absent_classes_are_none():
    probabilities = np.eye(7)[[5, 5]]
    found = isic_figures(Sample(np.array([5, 5]), np.array([5, 5]), probabilities))
    df = found["classes"]["df"]
    assert [df[what] for what in ("sensitivity", "dice", "ppv")] == [1, 1, 1]
    assert df["auc"] is df["auc_sens_80"] is df["ap"] is None
    assert found["classes"]["nv"]["specificity"] == 1
    assert found["macro_average"]["auc"] is None
    assert list(found["classes"]) == list(CLASSES)
