"""What flows through a run: batches of pixels, batches of scores, rows."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, cast

import numpy as np
from numpy.typing import NDArray


class Event(Protocol):
    """A mark in the work of one stream."""

    def has_passed(self) -> bool:
        """Whether all work that was queued before it is done."""
        ...

    def wait(self) -> None:
        """Block until it has passed; raises DeviceLost if work before it failed."""
        ...


@dataclass(frozen=True)
class DeviceImages:
    """Decoded images in the memory of a GPU, without gaps.

    Attributes
    ----------
    pointer
        Address on the device.
    shape
        ``(n, height, width, 3)``; uint8, RGB.
    owner
        Holds the memory: kept until all queued work that reads it is done.
    ready
        The event after which the pixels are there; None if they are there already.
    """

    pointer: int
    shape: tuple[int, int, int, int]
    owner: object
    ready: Event | None = None

    def __len__(self) -> int:
        """Count the images."""
        return self.shape[0]


Images = NDArray[np.uint8] | DeviceImages
"""uint8 RGB ``[n, height, width, 3]``, on the host or on a GPU."""


@dataclass(frozen=True)
class Failure:
    """An image that could not be decoded: its index, and why, in one line."""

    index: int
    sha256: str
    reason: str


@dataclass(frozen=True)
class Batch:
    """Decoded images on their way to the backend; failures travel along.

    Attributes
    ----------
    indices
        int64 ``[n]``: position of each image in the run's listing.
    images
        uint8 ``[n, 224, 224, 3]``, RGB; :func:`on_host` gives them to code of the host.
    decoders
        ``dali-cpu``, ``dali-gpu``, ``pillow``, ``pillow-icc`` ... for each image; length n.
    sha256
        Of the bytes that each image was decoded from; length n.
    failures
        Images of the batch that could not be decoded.
    """

    indices: NDArray[np.int64]
    images: Images
    decoders: Sequence[str]
    sha256: Sequence[str]
    failures: Sequence[Failure] = ()


def on_host(images: Images) -> NDArray[np.uint8]:
    """Give the images as an array of the host: themselves, or a copy from the GPU."""
    if not isinstance(images, DeviceImages):
        return images
    # A tensor list of DALI's copies itself, and waits for the copy.
    copied = cast(Any, images.owner).as_cpu()
    array: NDArray[np.uint8] = np.array(copied.as_tensor())
    return array


@dataclass(frozen=True)
class Explained:
    """What `hambatch explain` gets beside the scores.

    ``images`` are uint8 ``[n, height, width, 3]``, the input of the engine; ``maps`` float32
    ``[n, classes, rows, columns]``, at least 0: :mod:`hambatch.explanation`.
    """

    images: NDArray[np.uint8]
    maps: NDArray[np.float32]

    def only(self, slots: Sequence[int]) -> "Explained":
        """Leave out the images in all other slots."""
        return Explained(self.images[slots], self.maps[slots])


class Difference(NamedTuple):
    """An image of a batch whose two computations differ.

    ``first`` and ``second`` are its seven logits; ``where`` says where each was computed.
    """

    slot: int
    first: tuple[float, ...]
    second: tuple[float, ...]
    where: str


@dataclass(frozen=True)
class DoubleChecked:
    """What was computed a second time of a batch, and what came out otherwise.

    A request is counted in the batch of its first image; every view of an image counts.
    """

    requests: int = 0
    images: int = 0
    differing: tuple[Difference, ...] = ()

    def __add__(self, other: "DoubleChecked") -> "DoubleChecked":
        """Add up what was computed twice of two batches."""
        return DoubleChecked(
            self.requests + other.requests,
            self.images + other.images,
            self.differing + other.differing,
        )


@dataclass(frozen=True)
class Scored:
    """The scores of a batch, in the order of its images.

    Attributes
    ----------
    logits
        float32 ``[n, 7]``, before temperature and softmax.
    features
        float32 ``[n, 2048]``: the global average pool.
    views
        Logits of further views of the images, each as ``logits``:
        :mod:`hambatch.backends.test_time_augmentation`.
    explained
        From the backend of `hambatch explain`; None from all others.
    twice
        What ``--double-check`` computed a second time.
    places
        int64 ``[n, views, 4]``: where each image was computed, and its further views: infer
        request, row in it, a number that grows with every request that is sent, and the number up
        to which all were done when it was begun. None: in the slot of the batch.
    """

    batch: Batch
    logits: NDArray[np.float32]
    features: NDArray[np.float32]
    views: tuple[NDArray[np.float32], ...] = ()
    explained: Explained | None = None
    twice: DoubleChecked = field(default_factory=DoubleChecked)
    places: NDArray[np.int64] | None = None


@dataclass(frozen=True)
class Row:
    """One line of the output: what became of one image.

    ``probabilities`` has seven values, rounded to the six decimals that are
    written, in the order of the classes; it is empty for a failed image, and
    so are ``prediction`` and ``backend``. ``ood`` and ``quality`` are those of
    :class:`hambatch.risk.checking.Checked`, None and empty where there are none; ``risk`` and
    ``risk_reason`` come from :mod:`hambatch.risk.decision`. ``carried`` are the cells of the
    manifest's other columns, None where there is nothing; a run of another source has none.
    """

    image: str
    status: str
    prediction: str = ""
    probabilities: tuple[float, ...] = ()
    malignant: float = 0.0
    decoder: str = ""
    backend: str = ""
    sha256: str = ""
    reason: str = ""
    ood: float | None = None
    quality: str = ""
    risk: str = ""
    risk_reason: str = ""
    carried: tuple[str | None, ...] = ()
