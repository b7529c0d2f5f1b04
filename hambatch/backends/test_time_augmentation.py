"""Test-time augmentation: an image's logits beside those of its mirrored and turned views."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from hambatch.types import Batch, Scored, on_host

Predict = Callable[[Iterable[Batch]], Iterator[Scored]]


SYMMETRIES = tuple(
    (transposed, upside_down, mirrored)
    for transposed in (False, True)
    for upside_down, mirrored in ((False, False), (False, True), (True, False), (True, True))
)
"""Of a square: what maps its pixels onto pixels, so that a view costs no resampling. First the
image itself, then what keeps its sides: mirrored left to right, upside down, both; then the same
four with rows and columns exchanged."""


def view_of(images: NDArray[np.uint8], number: int) -> NDArray[np.uint8]:
    """Give one view of images ``[n, side, side, 3]``; number 0 is the images themselves."""
    transposed, upside_down, mirrored = SYMMETRIES[number]
    seen = images.swapaxes(1, 2) if transposed else images
    seen = seen[:, :: -1 if upside_down else 1, :: -1 if mirrored else 1]
    return np.ascontiguousarray(seen)


def with_views(predict: Predict, count: int) -> Predict:
    """Let a backend predict the first ``count`` views of every image, the image itself first."""

    def predict_views(batches: Iterable[Batch]) -> Iterator[Scored]:
        scored = predict(view for batch in batches for view in _views(batch, count))
        for first in scored:
            others = list(islice(scored, count - 1))
            twice = sum((view.twice for view in others), first.twice)
            yield replace(first, views=tuple(view.logits for view in others), twice=twice)

    return predict_views


def _views(batch: Batch, count: int) -> Iterator[Batch]:
    yield batch
    if count == 1:
        return
    # What a GPU decoded is turned on the host: it is small, and DALI's batch is read-only.
    images = on_host(batch.images)
    for number in range(1, count):
        yield replace(batch, images=view_of(images, number))
