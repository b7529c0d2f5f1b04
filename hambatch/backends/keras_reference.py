"""Keras on the weights that a training run left: slow, and the reference."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hambatch.backends.double_check import Chooser, SecondScores
from hambatch.backends.keras_network import WEIGHTS_NAME, Architecture, load_network, preprocess
from hambatch.engines.loading import Engine
from hambatch.errors import EngineError
from hambatch.system.schema import convert
from hambatch.types import Batch, DoubleChecked, Scored, on_host


class KerasBackend:
    """Runs the network that the engine was exported from, one image a call.

    In a call of several, the kernels that TensorFlow takes on some processors sum the rows of a
    tile and those beyond the last whole tile in another order.

    ``double_check`` is the percentage of images that are computed twice: by the same call, for
    there is no other place, after the others of their batch.
    """

    name = "keras-fp32"
    holds = 0
    note = ""

    def __init__(self, network: Any, double_check: float = 0.0) -> None:
        import tensorflow as tf

        self._chooser = Chooser(double_check) if double_check else None
        self._forward = tf.function(lambda images: network(images, training=False))

    def predict(self, batches: Iterable[Batch]) -> Iterator[Scored]:
        """Score batches, a call for each image."""
        for batch in batches:
            images = on_host(batch.images)
            found = [self._forward(preprocess(image[np.newaxis])) for image in images]
            logits = [np.empty((0, 7), np.float32), *(one["logits"].numpy() for one in found)]
            features = [
                np.empty((0, 2048), np.float32),
                *(one["features"].numpy() for one in found),
            ]
            rows = np.concatenate(logits)
            twice = self._twice(images, rows) if self._chooser else DoubleChecked()
            yield Scored(batch, rows, np.concatenate(features), twice=twice)

    def _twice(self, images: NDArray[np.uint8], rows: NDArray[np.float32]) -> DoubleChecked:
        second = SecondScores.of(*rows.shape)
        for k, image in enumerate(images):
            if self._chooser and self._chooser.takes():
                again = self._forward(preprocess(image[np.newaxis]))["logits"].numpy()
                second.keep(k, again, np.array([[k, 0, k, 0]]))
                second.requests += 1
        return second.compared(rows)

    def close(self) -> None:
        """Give back nothing before the process ends."""


def load(
    engine: Engine,
    precision: str,
    streams: int,
    *,
    model_cache: Path | None = None,
    double_check: float = 0.0,
) -> KerasBackend:
    """Build the network and load the engine's Keras weights; Keras shares the cores itself.

    Nothing is compiled that could be kept. Raises EngineError if the folder has no Keras weights:
    only ``hambatch train`` leaves them, or engine.json has no sha256 of them.
    """
    path = engine.folder / WEIGHTS_NAME
    if precision != "fp32" or not path.is_file():
        raise EngineError(
            f"the keras backend needs {path} and precision fp32 (found --precision {precision}); "
            "only a training run leaves these weights.\n"
            "Next: hambatch train, or --backend openvino"
        )
    if WEIGHTS_NAME not in engine.manifest.files:
        raise EngineError(
            f"{path} has no sha256 in engine.json, wanted one: its weights could be of any network."
            "\nNext: hambatch train, or --backend openvino"
        )
    training, side = engine.manifest.training, engine.manifest.input.height
    try:
        found = convert(training, Architecture)
    except ValueError as error:
        raise EngineError(
            f"engine.json does not say what network it is: training.{error}.\n"
            "Next: hambatch train, or --backend openvino"
        ) from error
    network = load_network(path, found.hidden_units, found.dropout, side, found.stride_in)
    return KerasBackend(network, double_check)
