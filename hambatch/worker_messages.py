"""What a worker tells its parent: that it is ready or refuses, answers, and its account."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass, field

import numpy as np
from numpy.typing import NDArray

from hambatch.batches import Explained, Failure
from hambatch.errors import HambatchError


@dataclass(frozen=True)
class Ready:
    """The worker has loaded its engine.

    ``window`` groups must be sent before it is waited for: its stages keep that
    many before the first answer comes. ``note`` is the backend's.
    """

    backend: str
    decoder: str
    window: int
    note: str = ""


@dataclass(frozen=True)
class Refused:
    """The worker cannot work: the error to raise in the parent."""

    error: HambatchError


@dataclass(frozen=True)
class Touched:
    """Of a worker that goes one by one: it has read a file, and decodes it now."""

    sha256: str


@dataclass(frozen=True)
class Answer:
    """One group's outcome; arrays as in :class:`hambatch.batches.Scored`.

    ``by_parent`` tells of a file at which its worker was lost: no worker says so.
    """

    indices: NDArray[np.int64]
    logits: NDArray[np.float32]
    decoders: list[str]
    sha256: list[str]
    failures: list[Failure]
    by_parent: bool = False
    views: tuple[NDArray[np.float32], ...] = ()
    explained: Explained | None = None

    def without(self, slots: Sequence[int]) -> "Answer":
        """Leave out the images in these slots; failures stay."""
        kept = np.delete(np.arange(len(self.indices)), slots).tolist()
        return Answer(
            self.indices[kept],
            self.logits[kept],
            [self.decoders[slot] for slot in kept],
            [self.sha256[slot] for slot in kept],
            self.failures,
            self.by_parent,
            tuple(view[kept] for view in self.views),
            self.explained and self.explained.only(kept),
        )


@dataclass
class StageTimes:
    """Seconds that the run's main thread of the worker waited for each stage."""

    load_s: float = 0.0
    read_wait_s: float = 0.0
    decode_wait_s: float = 0.0
    inference_wait_s: float = 0.0

    def __add__(self, other: "StageTimes") -> "StageTimes":
        """Add up the times of two workers."""
        pairs = zip(astuple(self), astuple(other), strict=True)
        return StageTimes(*(ours + theirs for ours, theirs in pairs))


@dataclass(frozen=True)
class Finished:
    """The last message of a worker; ``troubles`` as in :class:`ScoringPipeline`."""

    stage_times: StageTimes = field(default_factory=StageTimes)
    troubles: dict[str, int] = field(default_factory=dict)
