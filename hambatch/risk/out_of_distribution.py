"""How unlike the training images an image is, by the network's features.

The features of the training images vary mostly in some directions. The share of an image's
features outside these directions is small for a dermatoscopic image, and larger for anything
else [1]_, [2]_. On the default engine it separates non-lesions better than the Mahalanobis distance
to the nearest class, the distance to the nearest training images, and the energy of the logits:
``benchmarks/image_checks.py``.

References
----------
.. [1] Ndiour et al., Out-of-distribution detection with subspace techniques and probabilistic
   modeling of features (2020), arXiv:2012.04250
.. [2] Wang et al., ViM: out-of-distribution with virtual-logit matching, CVPR (2022),
   arXiv:2203.10807
"""

import numpy as np
from numpy.typing import NDArray

from hambatch.engines.feature_statistics import Directions


class Subspace:
    """The directions in which the features of the training images vary."""

    def __init__(self, directions: Directions) -> None:
        self._centre = directions.class_means.astype(np.float64).mean(axis=0)
        self._axes = directions.axes.astype(np.float64)

    def share_outside(self, features: NDArray[np.float32]) -> float:
        """Give the share of the squared length of float32 ``[2048]`` that lies outside, 0 to 1.

        The directions are counted from the mean of the class means. Features of length 0, or
        that are not finite, lie outside.
        """
        exact = features.astype(np.float64)
        if not np.isfinite(exact).all() or not exact.any():
            return 1.0
        centred = exact - self._centre
        # Not a product of matrices: its last bits depend on how many images it is of.
        along = np.einsum("kd,d->k", self._axes, centred)
        length, outside = exact @ exact, centred @ centred - along @ along
        return float(min(max(outside / length, 0.0), 1.0))
