"""The images that figures are about: their classes and probabilities."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hambatch.labels import CLASSES, MALIGNANT

MELANOMA = CLASSES.index("mel")

MALIGNANT_CLASSES = [k for k, name in enumerate(CLASSES) if name in MALIGNANT]


@dataclass(frozen=True)
class Sample:
    """Images with a truth and a prediction.

    Attributes
    ----------
    truth, predicted
        int64 ``[n]``, n > 0: positions in ``CLASSES``.
    probabilities
        float64 ``[n, 7]``, 0 to 1, in the order of ``CLASSES``.

    Raises
    ------
    ValueError
        If there are no images, shapes differ, a class is out of range, or a
        probability is outside 0 to 1.
    """

    truth: NDArray[np.int64]
    predicted: NDArray[np.int64]
    probabilities: NDArray[np.float64]

    def __post_init__(self) -> None:
        """Refuse arrays that make no sense."""
        n = self.truth.size
        if not n or self.truth.shape != (n,) or self.predicted.shape != (n,):
            raise ValueError(
                f"truth {self.truth.shape}, predicted {self.predicted.shape}: wanted [n], n > 0"
            )
        if self.probabilities.shape != (n, len(CLASSES)):
            raise ValueError(
                f"probabilities {self.probabilities.shape}: wanted ({n}, {len(CLASSES)})"
            )
        if not np.isin(np.stack([self.truth, self.predicted]), np.arange(len(CLASSES))).all():
            raise ValueError(f"classes: wanted 0 to {len(CLASSES) - 1}")
        if not ((self.probabilities >= 0) & (self.probabilities <= 1)).all():
            raise ValueError("probabilities: wanted 0 to 1")

    @property
    def size(self) -> int:
        """Number of images."""
        return int(self.truth.size)

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Whether each image is called right."""
        right: NDArray[np.bool_] = self.truth == self.predicted
        return right

    @property
    def confidence(self) -> NDArray[np.float64]:
        """Probability of the class that is predicted."""
        return self.probabilities[np.arange(self.size), self.predicted]

    @property
    def malignant(self) -> NDArray[np.bool_]:
        """Whether each image shows akiec, bcc or mel."""
        return np.isin(self.truth, MALIGNANT_CLASSES)

    @property
    def p_malignant(self) -> NDArray[np.float64]:
        """Probability of akiec, bcc or mel."""
        # Rounded, or the noise of float addition would order sums that are equal.
        total: NDArray[np.float64] = self.probabilities[:, MALIGNANT_CLASSES].sum(axis=1)
        return total.round(12)

    def at(self, chosen: NDArray[np.bool_] | NDArray[np.int64]) -> "Sample":
        """Take some of the images, in the order asked for."""
        return Sample(self.truth[chosen], self.predicted[chosen], self.probabilities[chosen])
