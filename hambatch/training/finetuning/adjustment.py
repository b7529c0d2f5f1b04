"""Logit adjustment: what a class's share of the views adds to its logit, in training alone."""

import numpy as np
from numpy.typing import NDArray

from hambatch.training.finetuning.sampling import quotas


def adjustment(labels: NDArray[np.int64], balance: str, strength: float) -> NDArray[np.float32]:
    """Give what is added to the logits that the loss sees [1]_.

    A network learns how often it sees a class. With ``strength`` times the logarithm of these
    shares added for it, it learns as much less of that, and what is exported, without the sum,
    leans less towards frequent classes. With 1 it scores as if all classes were equally frequent;
    the images that it is fed stay those of ``balance``.

    Parameters
    ----------
    labels
        int64 ``[images]`` of all training images, indices of classes.
    strength
        0 and more; with 0 nothing is added.

    Returns
    -------
    float32 ``[7]``, 0 and less.

    Raises
    ------
    InputError
        If a class has no image.

    References
    ----------
    .. [1] Menon et al., Long-tail Learning via Logit Adjustment, ICLR 2021, arXiv:2007.07314
    """
    # A class of very few images may have no view in a round; it is counted with one.
    views = np.maximum(quotas(labels, balance), 1)
    added: NDArray[np.float32] = (strength * np.log(views / views.sum())).astype(np.float32)
    return added
