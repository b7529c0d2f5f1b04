"""How good predictions are, as one JSON-able dictionary."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hambatch.evaluation.calibration import calibration_measure
from hambatch.evaluation.confusion import confusion_matrix, label_measure
from hambatch.evaluation.figures import Measure, nested, once, together
from hambatch.evaluation.sample import Sample
from hambatch.evaluation.scores import score_measure
from hambatch.labels import CLASSES


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
    """Compute the figures of an evaluation.

    Parameters
    ----------
    truth, predicted
        int64 ``[n]``, n > 0: positions in ``CLASSES``.
    probabilities
        float64 ``[n, 7]``, 0 to 1, in the order of ``CLASSES``.

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

    Raises
    ------
    ValueError
        If there are no images, shapes differ, a class is out of range, or a
        probability is outside 0 to 1.
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
