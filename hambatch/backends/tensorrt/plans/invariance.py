"""Whether an image's scores depend on its slot, its neighbours or the size of its batch.

TensorRT has given identical images of one batch different scores (its issues 4796 and 4813).
So a new plan scores the same images in every slot of batches of several sizes.
"""

from collections.abc import Callable, Iterator
from typing import Annotated

import numpy as np
from msgspec import Meta, Struct
from numpy.typing import NDArray

from hambatch.engines.probabilities import softmax
from hambatch.engines.sentinels import LOGIT_TOLERANCE
from hambatch.errors import EngineError

Images = NDArray[np.uint8]
"""RGB ``[n, height, width, 3]``."""

Predict = Callable[[Images], NDArray[np.float32]]
"""From images, as many as the plan takes at once, to logits ``[n, 7]``."""

Count = Annotated[int, Meta(ge=0, le=10**18)]


class Invariance(Struct, frozen=True, forbid_unknown_fields=True):
    """How far scores are from those of the same image alone, at most; part of a plan's record.

    Attributes
    ----------
    max_difference
        Of a probability.
    max_logit_difference
        Of a logit, as a share of the largest of its image (at least 1): it shows what
        a saturated softmax hides.
    where
        Which image and slot are farthest off, measured by the tolerances.
    """

    max_difference: float
    tolerance: float
    max_logit_difference: float
    logit_tolerance: float
    images: Count
    batch_sizes: tuple[Count, ...]
    where: str = ""

    @property
    def holds(self) -> bool:
        """Whether both are within their tolerances; NaN never is."""
        return (
            self.max_difference <= self.tolerance
            and self.max_logit_difference <= self.logit_tolerance
        )


def measure_invariance(
    predict: Predict, images: Images, max_batch: int, *, tolerance: float
) -> Invariance:
    """Score every image alone, then in every slot: among others, and among its own copies.

    Parameters
    ----------
    tolerance
        Of a probability, above 0; of logits it is that of a run.
    """
    alone = np.concatenate([predict(image[np.newaxis]) for image in images])
    sizes = batch_sizes(max_batch)
    largest, worst, where = np.zeros(2), -1.0, ""
    for size in sizes:
        for chosen in _fillings(len(images), size):
            off = _differences(predict(images[chosen]), alone[chosen])
            excess = (off / (tolerance, LOGIT_TOLERANCE)).max(axis=1)
            largest = np.maximum(largest, off.max(axis=0))
            # The first NaN, if there is one; nothing is worse.
            slot = int(excess.argmax())
            if not excess[slot] <= worst and not np.isnan(worst):
                worst, where = excess[slot], f"image {chosen[slot]} in slot {slot} of {size}"
    return Invariance(
        max_difference=float(largest[0]),
        tolerance=tolerance,
        max_logit_difference=float(largest[1]),
        logit_tolerance=LOGIT_TOLERANCE,
        images=len(images),
        batch_sizes=sizes,
        where=where,
    )


def _differences(found: NDArray[np.float32], alone: NDArray[np.float32]) -> NDArray[np.float64]:
    """Give ``[n, 2]``: the largest difference of a probability and, as a share, of a logit."""
    # Infinities give NaN, which is off like any other.
    with np.errstate(all="ignore"):
        changed = np.abs(softmax(found) - softmax(alone))
        scale = np.maximum(1.0, np.abs(alone).max(axis=1))
        shifted = np.abs(found.astype(np.float64) - alone).max(axis=1) / scale
    return np.stack([changed.max(axis=1), shifted], axis=1)


def batch_sizes(max_batch: int) -> tuple[int, ...]:
    """One, two, an odd size about the middle, and the two largest."""
    sizes = {1, 2, max_batch // 2 | 1, max_batch - 1, max_batch}
    return tuple(sorted(size for size in sizes if 1 <= size <= max_batch))


def _fillings(images: int, size: int) -> Iterator[NDArray[np.intp]]:
    """Yield the image of each slot: each visits every slot, then each fills a batch."""
    slots = np.arange(size)
    for shift in range(images):
        yield (slots + shift) % images
    for image in range(images):
        yield np.full(size, image)


def refuse_drift(found: Invariance, precision: str) -> None:
    """Raise EngineError if a plan's scores depend on where an image lies."""
    if found.holds:
        return
    other = "" if precision == "fp32" else ", or --precision fp32"
    raise EngineError(
        "the plan is refused: an image's scores depend on its slot in a batch. Compared with the "
        f"image alone, a probability differs by up to {found.max_difference:.1e} (wanted "
        f"{found.tolerance:.0e}), a logit by up to {found.max_logit_difference:.1e} of the largest "
        f"(wanted {found.logit_tolerance:.0e}); the largest difference is of {found.where}.\n"
        f"Next: hambatch build --precision {precision} --rebuild, which times all kernels anew and "
        f"may choose others{other}"
    )
