"""How good predictions are: the confusion matrix, the figures, the ISIC 2018 measures."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hambatch.engines.classes import CLASSES
from hambatch.evaluation.calibration import calibration_measure
from hambatch.evaluation.ranking import (
    average_precision,
    class_rankings,
    roc_area,
    roc_area_above,
    score_measure,
)
from hambatch.evaluation.sample import (
    Figures,
    Measure,
    Sample,
    mean_defined,
    nested,
    once,
    ratio,
    together,
)


def confusion_matrix(truth: NDArray[np.int64], predicted: NDArray[np.int64]) -> NDArray[np.int64]:
    """Count images: int64 ``[7, 7]``, rows are the truth, columns the prediction."""
    matrix = np.zeros((len(CLASSES), len(CLASSES)), np.int64)
    np.add.at(matrix, (truth, predicted), 1)
    return matrix


def label_measure(truth: NDArray[np.int64], predicted: NDArray[np.int64]) -> Measure:
    """Figures of the labels alone, in every draw."""
    count = len(CLASSES)
    cells = np.zeros((truth.size, count * count))
    cells[np.arange(truth.size), truth * count + predicted] = 1.0
    return lambda weights: label_figures((weights @ cells).reshape(-1, count, count))


def label_figures(matrices: NDArray[np.float64]) -> Figures:
    """Accuracy, balanced accuracy, macro F1, and each class against all others.

    ``matrices`` are float64 ``[draws, 7, 7]``: counts, rows truth, columns predicted.
    """
    hits = np.diagonal(matrices, axis1=1, axis2=2)
    support, called = matrices.sum(axis=2), matrices.sum(axis=1)
    total = support.sum(axis=1, keepdims=True)
    others = total - support
    classes = {
        "sensitivity": ratio(hits, support),
        "specificity": ratio(others - (called - hits), others),
        "precision": ratio(hits, called),
        "f1": ratio(2 * hits, support + called),
    }
    figures: Figures = {
        ("accuracy",): ratio(hits.sum(axis=1), total[:, 0]),
        ("balanced_accuracy",): mean_defined(classes["sensitivity"]),
        ("macro_f1",): mean_defined(classes["f1"]),
    }
    for k, name in enumerate(CLASSES):
        figures |= {("classes", name, what): values[:, k] for what, values in classes.items()}
    return figures


def core_measure(sample: Sample) -> Measure:
    """The figures of :func:`evaluate` in every draw."""
    return together(
        label_measure(sample.truth, sample.predicted),
        score_measure(sample),
        calibration_measure(sample),
    )


def evaluate(
    truth: NDArray[np.int64],
    predicted: NDArray[np.int64],
    probabilities: NDArray[np.float64],
) -> dict[str, Any]:
    """Compute the figures of a :class:`~hambatch.evaluation.sample.Sample` of these arrays.

    Returns
    -------
    ``n``; ``accuracy``; ``balanced_accuracy``, the mean sensitivity of the
    classes that occur in the truth; ``macro_f1``, the mean F1 of those that
    occur in the truth or the predictions; ``roc_auc_malignant`` and
    ``average_precision_malignant``, of the summed probabilities of akiec, bcc
    and mel; ``roc_auc_melanoma`` and ``average_precision_melanoma``; ``ece``,
    ``ece_equal_mass``, ``brier`` and ``log_loss``, see
    :mod:`hambatch.evaluation.calibration`; ``classes``, name to ``support``,
    ``sensitivity``, ``specificity``, ``precision``, ``f1``, ``roc_auc`` and
    ``average_precision`` (one against all others); ``confusion_matrix``, rows
    truth, columns predicted. A figure that would divide by zero is None.
    """
    sample = Sample(truth, predicted, probabilities)
    found = nested(once(core_measure(sample), sample.size))
    matrix = confusion_matrix(truth, predicted)
    support = dict(zip(CLASSES, matrix.sum(axis=1).tolist(), strict=True))
    classes = found.pop("classes")
    return {
        "n": sample.size,
        **found,
        "classes": {name: {"support": support[name], **classes[name]} for name in CLASSES},
        "confusion_matrix": matrix.tolist(),
    }


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
        counts = [ranking.counts(weights) for ranking in rankings.values()]
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
        "sensitivity": ratio(hits, support, 1.0),
        "specificity": ratio(rejected, total - support, 1.0),
        "dice": ratio(2 * hits, support + called, 1.0),
        "ppv": ratio(hits, called, 1.0),
        "npv": ratio(rejected, total - called, 1.0),
    }


def _undecided(sample: Sample) -> NDArray[np.bool_]:
    greatest = sample.probabilities.max(axis=1, keepdims=True)
    return np.asarray((sample.probabilities == greatest).sum(axis=1) > 1)
