"""The FP32 graph with its last feature map as one more output, and the maps made of it."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hambatch.backends.openvino_cpu import REQUEST_SIZE
from hambatch.backends.openvino_graph import read_graph
from hambatch.batches import Batch, Explained, Scored, on_host
from hambatch.engines.choice import FP32
from hambatch.engines.loading import Engine
from hambatch.errors import EngineError
from hambatch.explanation.closed_form import grad_cam
from hambatch.explanation.head import Head, find_head
from hambatch.require import require


class MapsBackend:
    """Scores and explains on one thread, one request after the other: there are few images."""

    name = "openvino-fp32"
    holds = 0
    note = ""

    def __init__(self, compiled: Any, head: Head, channel_axis: int) -> None:
        self._compiled, self._head, self._channel_axis = compiled, head, channel_axis

    def predict(self, batches: Iterable[Batch]) -> Iterator[Scored]:
        """Score batches in requests of one size, and add what explains the scores."""
        for batch in batches:
            images = on_host(batch.images)
            starts = range(0, len(images), REQUEST_SIZE)
            parts = [self._request(images[k : k + REQUEST_SIZE]) for k in starts]
            if not parts:
                parts = [self._request(images)]
            logits, features, maps = (np.concatenate(each) for each in zip(*parts, strict=True))
            yield Scored(batch, logits, features, explained=Explained(images, maps))

    def close(self) -> None:
        """Nothing to give back before the process ends."""

    def _request(self, images: NDArray[np.uint8]) -> tuple[NDArray[Any], ...]:
        """Logits, features and maps of up to ``REQUEST_SIZE`` images, filled up with black."""
        padded = np.zeros((REQUEST_SIZE, *images.shape[1:]), np.uint8)
        padded[: len(images)] = images
        answer = self._compiled(padded)
        logits, features = answer["logits"], answer["features"]
        # The output that was added is the last.
        feature_map = np.moveaxis(answer[len(answer) - 1], self._channel_axis, 1)
        maps = grad_cam(self._head, feature_map, features).astype(np.float32)
        return tuple(each[: len(images)] for each in (logits, features, maps))


def load(
    engine: Engine, precision: str, streams: int, *, model_cache: Path | None = None
) -> MapsBackend:
    """Compile the FP32 graph for one thread, as `score` runs it, with the feature map beside.

    Raises
    ------
    EngineError
        If the graph cannot be read, does not match its manifest, or has a head of another form.
    """
    if precision != FP32:
        raise EngineError(
            f"maps are made from the fp32 graph, asked for {precision}.\n"
            "Next: hambatch explain, which asks for fp32"
        )
    openvino = require("openvino", extra="", purpose="hambatch explain")
    core = openvino.Core()
    model = read_graph(core, engine, FP32, REQUEST_SIZE)
    path = engine.folder / engine.variant(FP32).file
    head, feature_map, channel_axis = find_head(model, str(path))
    model.add_outputs(feature_map)
    compiled = core.compile_model(
        model,
        "CPU",
        # As in hambatch.backends.openvino_compile; an image's maps depend on no number of cores.
        {"INFERENCE_PRECISION_HINT": "f32", "NUM_STREAMS": 1, "INFERENCE_NUM_THREADS": 1},
    )
    return MapsBackend(compiled, head, channel_axis)
