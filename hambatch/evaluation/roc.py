"""The area under the ROC curve, by ranks."""

import numpy as np
from numpy.typing import NDArray


def roc_auc(positive: NDArray[np.bool_], scores: NDArray[np.float64]) -> float | None:
    """Share of (positive, negative) pairs that the score puts in order; ties count half.

    This is the Mann-Whitney U statistic over the number of pairs [1]_.

    Parameters
    ----------
    positive
        ``[n]``.
    scores
        ``[n]``, finite; greater means more probably positive.

    Returns
    -------
    0 to 1; None if all images are positive or none is.

    References
    ----------
    .. [1] Hanley, McNeil, Radiology 143:29-36 (1982), doi:10.1148/radiology.143.1.7063747
    """
    positives = int(positive.sum())
    negatives = positive.size - positives
    if not positives or not negatives:
        return None
    _, level, size = np.unique(scores, return_inverse=True, return_counts=True)
    rank = np.cumsum(size) - (size - 1) / 2  # equal scores share the mean of their ranks
    above = rank[level][positive].sum() - positives * (positives + 1) / 2
    return float(above / positives / negatives)
