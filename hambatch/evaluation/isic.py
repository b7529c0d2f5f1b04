"""The measures of the ISIC 2018 challenge, Task 3, by its own definitions.

They are those of the package ``isic-challenge-scoring`` 5.6 (``classification.py``,
``metrics.py``), with every image of weight 1.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hambatch.evaluation.figures import Figures, Measure, mean_defined, nested, once, ratio
from hambatch.evaluation.ranking import average_precision, roc_area, roc_area_above
from hambatch.evaluation.sample import Sample
from hambatch.evaluation.scores import class_rankings
from hambatch.labels import CLASSES

THRESHOLD = 0.5
"""A class is called where its probability is above this, whatever the others are."""

SENSITIVITY = 0.8
"""``auc_sens_80`` is the area under the part of the ROC curve from here upwards."""

MEASURES = (
    *("accuracy", "sensitivity", "specificity", "dice", "ppv", "npv"),
    *("auc", "auc_sens_80", "ap"),
)


def isic_figures(sample: Sample) -> dict[str, Any]:
    """Measure the sample by the challenge's definitions.

    Returns
    -------
    ``balanced_accuracy``, the challenge's goal; ``macro_average`` and ``classes``,
    each with ``MEASURES``; ``threshold``; ``undecided``, images with several
    greatest probabilities, which the challenge counts as wrong.
    """
    return {
        **nested(once(isic_measure(sample), sample.size)),
        "threshold": THRESHOLD,
        "undecided": int(_undecided(sample).sum()),
    }


def isic_measure(sample: Sample) -> Measure:
    """The challenge's figures in every draw."""
    truth = np.eye(len(CLASSES))[sample.truth]
    called = (sample.probabilities > THRESHOLD).astype(np.float64)
    right = truth * (sample.probabilities.argmax(axis=1) == sample.truth)[:, None]
    right[_undecided(sample)] = 0.0
    rankings = class_rankings(sample)

    def measure(weights: NDArray[np.float64]) -> Figures:
        hits = weights @ (truth * called)
        parts = _dichotomised(hits, weights @ truth, weights @ called, weights)
        counts = [ranking.counts(weights) for ranking in rankings]
        parts |= {
            "auc": np.stack([roc_area(c) for c in counts], axis=1),
            "auc_sens_80": np.stack([roc_area_above(c, SENSITIVITY) for c in counts], axis=1),
            "ap": np.stack([average_precision(c) for c in counts], axis=1),
        }
        sensitivity = ratio(weights @ right, weights @ truth)
        figures: Figures = {("balanced_accuracy",): mean_defined(sensitivity)}
        figures |= {("macro_average", what): mean_defined(parts[what]) for what in MEASURES}
        for k, name in enumerate(CLASSES):
            figures |= {("classes", name, what): parts[what][:, k] for what in MEASURES}
        return figures

    return measure


def _dichotomised(
    hits: NDArray[np.float64],
    support: NDArray[np.float64],
    called: NDArray[np.float64],
    weights: NDArray[np.float64],
) -> dict[str, NDArray[np.float64]]:
    """Figures of ``[draws, 7]`` counts; where one divides by zero the challenge gives 1."""
    total = weights.sum(axis=1, keepdims=True)
    rejected = total - support - called + hits
    return {
        "accuracy": ratio(hits + rejected, total),
        "sensitivity": _or_one(hits, support),
        "specificity": _or_one(rejected, total - support),
        "dice": _or_one(2 * hits, support + called),
        "ppv": _or_one(hits, called),
        "npv": _or_one(rejected, total - called),
    }


def _or_one(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.divide(part, whole, out=np.ones(part.shape), where=whole != 0)


def _undecided(sample: Sample) -> NDArray[np.bool_]:
    greatest = sample.probabilities.max(axis=1, keepdims=True)
    several: NDArray[np.bool_] = (sample.probabilities == greatest).sum(axis=1) > 1
    return several
