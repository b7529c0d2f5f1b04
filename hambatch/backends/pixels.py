"""The backend that computes nothing: it gives images as an engine would see them."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from hambatch.engines.classes import CLASSES
from hambatch.engines.loading import Engine
from hambatch.types import Batch, Explained, Scored, on_host


class PixelsBackend:
    """Passes decoded images on, without scores or maps."""

    name = "pixels"
    holds = 0
    note = ""

    def predict(self, batches: Iterable[Batch]) -> Iterator[Scored]:
        """Give every batch its own pixels back; scores are 0, features and maps are empty."""
        for batch in batches:
            images = on_host(batch.images)
            n = len(images)
            logits, features = np.zeros((n, len(CLASSES)), np.float32), np.zeros((n, 0), np.float32)
            maps = np.zeros((n, len(CLASSES), 0, 0), np.float32)
            yield Scored(batch, logits, features, explained=Explained(images, maps))

    def close(self) -> None:
        """Give back nothing: nothing was taken."""


def load(
    engine: Engine, precision: str, streams: int, *, model_cache: Path | None = None
) -> PixelsBackend:
    """Load no graph: of the engine only its preprocessing counts, which the pipeline knows."""
    return PixelsBackend()
