"""Images at hand, where a run has them when it infers: on the host, or on the GPU."""

from collections.abc import Callable
from functools import partial
from math import prod

import numpy as np
from numpy.typing import NDArray

from hambatch.backends import Backend
from hambatch.backends.tensorrt_requests import TensorRtBackend
from hambatch.batches import Batch, Images
from hambatch.gpu.images import DeviceImages

Cut = Callable[[int, int], Batch]
"""Gives so many images, from a place on; the first again after the last."""


def at_hand(backend: Backend, images: NDArray[np.uint8], most: int) -> Cut:
    """Lay images where the backend reads them, and give what cuts batches of at most ``most``.

    On a GPU they are uploaded now, once: a run's images were decoded there.
    """
    if not isinstance(backend, TensorRtBackend):
        return partial(cut, images)
    # Those at the start once more behind the end, so that every batch lies in one piece.
    round_again = images[np.arange(len(images) + most) % len(images)]
    return partial(cut_on_device, backend.uploaded(round_again), len(images))


def cut(images: NDArray[np.uint8], start: int, count: int) -> Batch:
    """Make a batch of ``count`` images of the host from ``start`` on."""
    return _batch(start, images[np.arange(start, start + count) % len(images)], "dali-cpu")


def cut_on_device(images: DeviceImages, different: int, start: int, count: int) -> Batch:
    """Make a batch of ``count`` images from ``start`` on, by address; ``different`` go round."""
    _, *shape = images.shape
    pointer = images.pointer + start % different * prod(shape)
    height, width, channels = shape
    part = DeviceImages(pointer, (count, height, width, channels), images.owner)
    return _batch(start, part, "dali-gpu")


def _batch(start: int, images: Images, decoder: str) -> Batch:
    count = len(images)
    return Batch(np.arange(start, start + count), images, [decoder] * count, [""] * count)
