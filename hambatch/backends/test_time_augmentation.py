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


def with_views(predict: Predict, count: int, *, of_sentinels: bool = True) -> Predict:
    """Let a backend predict the first ``count`` views of every image, the image itself first.

    Without ``of_sentinels`` they have no further views: nobody compares these, and a backend that
    gives sentinels places by turns would give half of the turns to them. Their ``views`` are the
    logits of the first.
    """

    def predict_views(batches: Iterable[Batch]) -> Iterator[Scored]:
        views = (view for batch in batches for view in _views(batch, count, of_sentinels))
        scored = predict(views)
        for first in scored:
            others = [_of_all(view, first) for view in islice(scored, count - 1)]
            twice = sum((view.twice for view in others), first.twice)
            places = [view.places for view in (first, *others) if view.places is not None]
            yield replace(
                first,
                views=tuple(view.logits for view in others),
                twice=twice,
                places=np.concatenate(places, axis=1) if places else None,
            )

    return predict_views


def _views(batch: Batch, count: int, of_sentinels: bool) -> Iterator[Batch]:
    yield batch
    if count == 1:
        return
    # What a GPU decoded is turned on the host: it is small, and DALI's batch is read-only.
    images, indices = on_host(batch.images), batch.indices
    if not of_sentinels and (indices < 0).any():
        images, indices = images[indices >= 0], indices[indices >= 0]
    for number in range(1, count):
        yield replace(batch, indices=indices, images=view_of(images, number))


def _of_all(view: Scored, first: Scored) -> Scored:
    """Give a view a slot for every image of its batch, where it lacks the sentinels."""
    slots = np.flatnonzero(first.batch.indices >= 0)
    if len(view.logits) == len(first.logits):
        return view
    logits, places = first.logits.copy(), first.places
    logits[slots] = view.logits
    if places is not None and view.places is not None:
        places = places.copy()
        places[slots] = view.places
    differing = tuple(one._replace(slot=int(slots[one.slot])) for one in view.twice.differing)
    return replace(
        view, logits=logits, places=places, twice=replace(view.twice, differing=differing)
    )
