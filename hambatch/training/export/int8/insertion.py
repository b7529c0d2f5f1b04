"""Writing quantised convolutions into the graph: QuantizeLinear and DequantizeLinear."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hambatch.training.export.int8.fitting import Int8Convolution
from hambatch.training.export.int8.onnx_parts import (
    Weights,
    onnx_module,
    pads_of,
    replace_nodes,
    without_pads,
)

LEVELS = 255


LOWEST = -128


SAMPLES = 300_000


SHARES = np.linspace(0.2, 1, 33)
"""Of the largest activation: what the highest code may stand for."""


CHUNK = 32
"""Images that are held in FP32 at a time."""


Activations = NDArray[np.float16]


def activation_scale(values: Activations, rng: np.random.Generator) -> np.float32:
    """Choose the scale of least squared error on 300,000 values drawn at random."""
    flat = values.reshape(-1)
    drawn = flat[rng.integers(0, flat.size, SAMPLES)].astype(np.float32)
    largest = float(values.max()) or 1.0
    candidates = largest * SHARES / LEVELS
    errors = [
        float(((np.clip(np.rint(drawn / scale), 0, LEVELS) * scale - drawn) ** 2).mean())
        for scale in candidates
    ]
    return np.float32(candidates[int(np.argmin(errors))])


def codes_of(values: Activations, scale: np.float32) -> NDArray[np.int8]:
    """Simulate what the graph computes of ``x``: the code of ``x - 128 s``."""
    out = np.empty(values.shape, np.int8)
    for start in range(0, len(values), CHUNK):
        part = values[start : start + CHUNK] * np.float32(1 / scale)
        np.rint(part, out=part)
        part += np.float32(LOWEST)
        out[start : start + CHUNK] = np.clip(part, LOWEST, LEVELS + LOWEST, out=part)
    return out


ZERO_POINT = "int8.zero_point"


def insert(graph: Any, convolutions: Mapping[str, Int8Convolution]) -> None:
    """Change the graph in place; ``convolutions`` by the name of their output.

    A padded convolution gets a node ``Pad`` before its ``QuantizeLinear``: its own padding
    would be code 0, and zero is code -128.
    """
    writer = _Writer(graph)
    for node in list(graph.node):
        done = convolutions.get(node.output[0])
        if done is None:
            writer.nodes.append(node)
        else:
            writer.write(node, done)
    replace_nodes(graph, writer.nodes)


class _Writer:
    def __init__(self, graph: Any) -> None:
        self.nodes: list[Any] = []
        self._weights = Weights(graph)
        self._inputs: dict[tuple[str, tuple[int, ...]], str] = {}
        self._weights.write(ZERO_POINT, np.array(0, np.int8))

    def write(self, convolution: Any, done: Int8Convolution) -> None:
        """Replace its weights by codes, and its input by codes of that."""
        node = without_pads(convolution)
        key = convolution.input[0], pads_of(convolution)
        if key not in self._inputs:
            self._inputs[key] = self._quantised_input(*key, done.input_scale)
        node.input[0] = self._inputs[key]
        self._dequantised_weights(node.input[1], done)
        self._weights.write(node.input[2], done.bias)
        self.nodes.append(node)

    def _quantised_input(self, source: str, pads: tuple[int, ...], scale: np.float32) -> str:
        stem = source if not any(pads) else f"{source}.pad_{'_'.join(map(str, pads))}"
        store = self._weights.write
        step = store(f"{stem}.scale", np.array(scale, np.float32))
        shift = store(f"{stem}.shift", np.array(-LOWEST * scale, np.float32))
        last = self._add("Sub", [source, shift], f"{stem}.shifted")
        if any(pads):
            top, left, bottom, right = pads
            sides = np.array([0, 0, top, left, 0, 0, bottom, right], np.int64)
            zero = np.array(LOWEST * scale, np.float32)
            widths, value = store(f"{stem}.sides", sides), store(f"{stem}.zero", zero)
            last = self._add("Pad", [last, widths, value], f"{stem}.padded")
        codes = self._add("QuantizeLinear", [last, step, ZERO_POINT], f"{stem}.codes")
        return self._add("DequantizeLinear", [codes, step, ZERO_POINT], f"{stem}.dequantised")

    def _dequantised_weights(self, name: str, done: Int8Convolution) -> None:
        self._weights.remove(name)
        store = self._weights.write
        inputs = [
            store(f"{name}.codes", done.codes),
            store(f"{name}.scale", done.scales),
            store(f"{name}.zero_point", np.zeros(len(done.scales), np.int8)),
        ]
        self._add("DequantizeLinear", inputs, name, axis=0)

    def _add(self, kind: str, inputs: list[str], output: str, **attributes: int) -> str:
        make = onnx_module().helper.make_node
        self.nodes.append(make(kind, inputs, [output], name=f"{output}.node", **attributes))
        return output
