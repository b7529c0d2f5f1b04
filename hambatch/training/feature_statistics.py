"""The features of the training images, by the engine's own FP32 graph, and limits from them."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hambatch.backends import load_backend
from hambatch.engines.backend_names import BACKEND_OF_GATES, FP32
from hambatch.engines.feature_statistics import Directions, statistics_of, write_feature_statistics
from hambatch.engines.image_checks import write_image_checks
from hambatch.engines.loading import load_engine
from hambatch.ham10000.image_ids import HAM10000
from hambatch.risk.pixel_measures import PixelMeasures, measure
from hambatch.system.cpu import share_cores
from hambatch.training.dataset import Dataset, labels_of
from hambatch.training.image_checks import image_checks_of
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
    """Score the training images with the engine in ``folder``, and write what is known of them.

    That are the statistics of features, and the limits of image checks.
    """
    chosen, measures = training_images(dataset, parts), list[PixelMeasures]()
    backend = load_backend(BACKEND_OF_GATES, load_engine(folder), FP32, share_cores().streams)
    try:
        batches = _batches(fitted, chosen.sha256, measures)
        features = np.concatenate([scored.features for scored in backend.predict(batches)])
    finally:
        backend.close()
    statistics = statistics_of(features, chosen.labels, chosen.sources)
    write_feature_statistics(folder, statistics)
    sharp = _sharp_sources(dataset, fitted)
    kept = np.flatnonzero(np.isin(chosen.sources, list(sharp)))
    directions = Directions(statistics.class_means, statistics.axes)
    found = [measures[k] for k in kept]
    write_image_checks(
        folder, image_checks_of(features[kept], found, directions, tuple(sharp.values()))
    )


def _sharp_sources(dataset: Dataset, fitted: Fitted) -> dict[int, str]:
    """Name the sources by their position whose images are no smaller than the network's input.

    Others are enlarged, so that limits from them would take any blurred image for a sharp one.
    """
    side = fitted.network.input_shape[1]
    others = {k: source.about for k, source in enumerate(dataset.extras, 1)}
    return {0: HAM10000, **{k: one.name for k, one in others.items() if not 0 < one.side < side}}


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


def _batches(
    fitted: Fitted, sha256: Sequence[str], measures: list[PixelMeasures]
) -> Iterator[Batch]:
    """Yield the images in batches, and add the measures of each image."""
    for first in range(0, len(sha256), IMAGES_AT_ONCE):
        names = sha256[first : first + IMAGES_AT_ONCE]
        images = fitted.images(names)
        measures += map(measure, images)
        yield Batch(np.arange(first, first + len(names)), images, [""] * len(names), names)
