"""Keras on the weights that a training run left: slow, and the reference."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from hambatch.engines.loading import Engine
from hambatch.errors import EngineError
from hambatch.types import Batch, Scored, on_host

REQUEST_SIZE = 1
"""Images a call.

In a call of several, the kernels that TensorFlow takes on some processors sum the rows of a tile
and those beyond the last whole tile in another order.
"""


WEIGHTS_NAME = "model.weights.h5"


class KerasBackend:
    """Runs the network that the engine was exported from, one image a call."""

    name = "keras-fp32"
    holds = 0
    note = ""

    def __init__(self, network: Any) -> None:
        import tensorflow as tf

        self._forward = tf.function(lambda images: network(images, training=False))

    def predict(self, batches: Iterable[Batch]) -> Iterator[Scored]:
        """Score batches, a call for each image."""
        for batch in batches:
            images = on_host(batch.images)
            parts = [self._call(images[k : k + REQUEST_SIZE]) for k in range(len(batch.indices))]
            logits, features = zip(*parts, strict=True) if parts else ((), ())
            yield Scored(
                batch,
                np.concatenate([np.empty((0, 7), np.float32), *logits]),
                np.concatenate([np.empty((0, 2048), np.float32), *features]),
            )

    def close(self) -> None:
        """Nothing to give back before the process ends."""

    def _call(self, images: Any) -> tuple[Any, Any]:
        from hambatch.backends.keras_network import preprocess

        answer = self._forward(preprocess(images))
        return answer["logits"].numpy(), answer["features"].numpy()


def load(
    engine: Engine, precision: str, streams: int, *, model_cache: Path | None = None
) -> KerasBackend:
    """Build the network and load the engine's Keras weights; Keras shares the cores itself.

    Nothing is compiled that could be kept.

    Raises
    ------
    EngineError
        If the folder has no Keras weights: only ``hambatch train`` leaves them.
    """
    from hambatch.backends.keras_network import load_network

    path = engine.folder / WEIGHTS_NAME
    if precision != "fp32" or not path.is_file():
        raise EngineError(
            f"the keras backend needs {path} and precision fp32 (asked for {precision}); "
            "only a training run leaves these weights.\n"
            "Next: hambatch train, or --backend openvino"
        )
    training, side = engine.manifest.training, engine.manifest.input.height
    head = int(training["hidden_units"]), float(training["dropout"])
    return KerasBackend(load_network(path, *head, side))
