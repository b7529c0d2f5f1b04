"""The features of the training images, by the engine's own FP32 graph."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hambatch.backends import load_backend
from hambatch.engines.backend_names import BACKEND_OF_GATES, FP32
from hambatch.engines.feature_statistics import statistics_of, write_feature_statistics
from hambatch.engines.loading import load_engine
from hambatch.system.cpu import share_cores
from hambatch.training.dataset import Dataset, labels_of
from hambatch.training.recipe import Fitted
from hambatch.types import Batch

MOST_OF_A_SOURCE = 2000
"""Images of each other source, drawn: a source may have many more than the split table."""

IMAGES_AT_ONCE = 256


class Chosen(NamedTuple):
    """Training images: sha256, labels and sources, the split table's first; ``[n]`` each."""

    sha256: Sequence[str]
    labels: NDArray[np.int64]
    sources: NDArray[np.int64]


def add_feature_statistics(
    dataset: Dataset, fitted: Fitted, parts: Sequence[str], folder: Path
) -> None:
    """Score the training images with the engine in ``folder``, and write the statistics there."""
    chosen = training_images(dataset, parts)
    backend = load_backend(BACKEND_OF_GATES, load_engine(folder), FP32, share_cores().streams)
    try:
        batches = _batches(fitted, chosen.sha256)
        features = np.concatenate([scored.features for scored in backend.predict(batches)])
    finally:
        backend.close()
    write_feature_statistics(folder, statistics_of(features, chosen.labels, chosen.sources))


def training_images(dataset: Dataset, parts: Sequence[str]) -> Chosen:
    """Take all images of the parts, and at most :data:`MOST_OF_A_SOURCE` of each other source."""
    tables: list[pd.DataFrame] = [dataset.part(*parts)]
    for source in dataset.extras:
        most = min(MOST_OF_A_SOURCE, len(source.images))
        tables.append(source.images.sample(most, random_state=0).sort_index())
    return Chosen(
        [sha256 for table in tables for sha256 in table["sha256"]],
        np.concatenate([labels_of(table["dx"]) for table in tables]),
        np.repeat(np.arange(len(tables)), [len(table) for table in tables]),
    )


def _batches(fitted: Fitted, sha256: Sequence[str]) -> Iterator[Batch]:
    for first in range(0, len(sha256), IMAGES_AT_ONCE):
        names = sha256[first : first + IMAGES_AT_ONCE]
        images = fitted.images(names)
        yield Batch(np.arange(first, first + len(names)), images, [""] * len(names), names)
