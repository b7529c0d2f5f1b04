"""The challenge's measures equal those of its own package."""

import numpy as np
import pytest

from hambatch.engines.classes import CLASSES
from hambatch.evaluation.measures import MEASURES, isic_figures
from hambatch.evaluation.sample import Sample

# What isic-challenge-scoring 5.6.0 (github.com/ImageMarkup/isic-challenge-scoring) gives for
# `case()`: ClassificationScore(...).per_category, macro_average and aggregate, weights 1.
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


def case():
    """Seventy images with ties, one of them undecided; whole-number arithmetic alone."""
    k = np.arange(70)
    truth = (k * k + k // 10) % 7
    scores = (k[:, None] * 31 + np.arange(7) * 17 + k[:, None] * np.arange(7) * 5) % 23 + 1.0
    scores[k, (truth + (k % 5 == 0)) % 7] += np.where(k % 3 > 0, 90, 0)
    return truth, (scores / scores.sum(axis=1, keepdims=True)).round(2)


def test_they_equal_the_package_of_the_challenge():
    truth, probabilities = case()
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
