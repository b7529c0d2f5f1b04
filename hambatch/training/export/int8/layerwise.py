"""The walk through the network: each convolution is fitted to what the ones before it do."""

from collections.abc import Callable, Sequence
from itertools import takewhile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hambatch.errors import EngineError
from hambatch.training.export.int8.convolutions import (
    LOWEST,
    convolutions,
    ints,
    pads_of,
    without_pads,
)
from hambatch.training.export.int8.fitting import Floats32, Int8Convolution, fit
from hambatch.training.export.int8.running import run_node
from hambatch.training.export.onnx_graph import Weights
from hambatch.training.options import Int8Options

LEVELS = 255
"""Steps between the lowest and the highest code."""

SAMPLES = 300_000
"""Activations that a scale is chosen on."""

SHARES = np.linspace(0.2, 1, 33)
"""Of the largest activation: what the highest code may stand for."""

CHUNK = 32
"""Images that are held in FP32 at a time."""

Report = Callable[[str], None]
"""Called with a line of progress."""

Activations = NDArray[np.float16]
Codes = NDArray[np.int8]


def walk(
    graph: Any, images: NDArray[np.uint8], options: Int8Options, report: Report
) -> dict[str, Int8Convolution]:
    """Quantise all convolutions but the first ``keep_fp32``, in the order in which they run.

    The activations of all images lie in memory, those of the FP32 network and
    those of the quantised one, each for as long as a later node reads it: in FP16,
    whose rounding is a twentieth of what INT8 costs at its best.

    Returns them by the names of their outputs. Raises EngineError if a convolution's input can
    be negative, or none is left to quantise.
    """
    network = _Walk(graph, images, options)
    chosen = _to_quantise(graph, options)
    found = {}
    before_pooling = takewhile(lambda node: node.op_type != "ReduceMean", graph.node)
    for index, node in enumerate(before_pooling):
        if node.output[0] in chosen:
            fitted = network.quantise(node, np.random.default_rng([options.seed, index]))
            found[node.output[0]] = fitted
            report(f"{node.name} relative error {fitted.error:.4f}")
        else:
            network.pass_on(node)
        network.forget(index)
    return found


def _to_quantise(graph: Any, options: Int8Options) -> set[str]:
    """Outputs of the convolutions after the first ones."""
    found = [node.output[0] for node in convolutions(graph)]
    in_fp32 = options.keep_fp32 + options.restore_fp32
    if len(found) <= in_fp32:
        raise EngineError(
            f"the graph has {len(found)} convolutions, wanted more than the {in_fp32} "
            "that are to be FP32.\nNext: --keep-fp32 or --restore-fp32 with a smaller number"
        )
    return set(found[options.keep_fp32 :])


class _Walk:
    """Activations of both networks, by the tensor's name."""

    def __init__(self, graph: Any, images: NDArray[np.uint8], options: Int8Options) -> None:
        self._nodes: Sequence[Any] = list(graph.node)
        self._weights, self._options = Weights(graph), options
        self._exact: dict[str, Any] = {graph.input[0].name: images}
        self._quantised = dict(self._exact)
        self._codes: dict[str, tuple[np.float32, Codes]] = {}
        self._last_read = {name: k for k, node in enumerate(self._nodes) for name in node.input}

    def pass_on(self, node: Any) -> None:
        """Run a node that stays as it is; once, while both networks are still alike."""
        names, out = [name for name in node.input if name in self._exact], node.output[0]
        alike = all(self._exact[name] is self._quantised[name] for name in names)
        self._exact[out] = self._run(node, names, self._exact)
        self._quantised[out] = (
            self._exact[out] if alike else self._run(node, names, self._quantised)
        )

    def _run(self, node: Any, names: Sequence[str], activations: dict[str, Any]) -> Activations:
        return run_node(node, {name: activations[name] for name in names}, self._weights)

    def quantise(self, node: Any, rng: np.random.Generator) -> Int8Convolution:
        """Fit a convolution; its output feeds the quantised network's next layers."""
        source, kernel_name, bias_name = node.input
        exact = self._run(node, [source], self._exact)
        scale, codes = self._input(node, rng)
        kernel = self._weights.read(kernel_name)
        places = draw_places(exact.shape, self._options.positions, rng)
        wanted = at(exact, places)
        branch = self._other_branch(node)
        if branch:
            wanted = wanted + at(self._exact[branch], places) - at(self._quantised[branch], places)
        seen = patches(codes, kernel.shape[2:], ints(node, "strides", (1, 1)), places)
        seen *= scale
        fitted = fit(kernel, seen, wanted, scale, self._options)
        replaced = {kernel_name: fitted.weights * scale, bias_name: fitted.bias}
        self._exact[node.output[0]] = exact
        self._quantised[node.output[0]] = run_node(
            without_pads(node), {source: codes}, self._weights, replaced
        )
        return fitted

    def forget(self, index: int) -> None:
        """Drop what no later node reads."""
        for name in [n for n in self._exact if self._last_read.get(n, index + 1) <= index]:
            del self._exact[name], self._quantised[name]
            self._codes.pop(name, None)

    def _input(self, node: Any, rng: np.random.Generator) -> tuple[np.float32, Codes]:
        """Its input's scale, and the input's codes, padded with the code of 0."""
        source = node.input[0]
        if source not in self._codes:
            exact = self._exact[source]
            if exact.min() < 0:
                raise EngineError(
                    f"the convolution {node.name} reads values down to {exact.min():.3g}, "
                    "wanted what a ReLU gives: 0 and above.\n"
                    "Next: leave more of the first convolutions in FP32 with --keep-fp32"
                )
            scale = activation_scale(exact, rng)
            self._codes[source] = scale, codes_of(self._quantised[source], scale)
        scale, codes = self._codes[source]
        top, left, bottom, right = pads_of(node)
        if not any(pads_of(node)):
            return scale, codes
        width = ((0, 0), (0, 0), (top, bottom), (left, right))
        return scale, np.pad(codes, width, constant_values=LOWEST)

    def _other_branch(self, node: Any) -> str:
        """Name what this output is added to, if that is known already: its error counts too."""
        out = node.output[0]
        for reader in self._nodes:
            if reader.op_type == "Add" and out in reader.input:
                others = (n for n in reader.input if n != out and n in self._quantised)
                return next(others, "")
        return ""


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


def codes_of(values: Activations, scale: np.float32) -> Codes:
    """Compute the code of ``x - 128 s`` as the graph does."""
    out = np.empty(values.shape, np.int8)
    for start in range(0, len(values), CHUNK):
        part = values[start : start + CHUNK] * np.float32(1 / scale)
        np.rint(part, out=part)
        part += np.float32(LOWEST)
        out[start : start + CHUNK] = np.clip(part, LOWEST, LEVELS + LOWEST, out=part)
    return out


Places = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]
"""Images, rows and columns of an output."""


def draw_places(shape: tuple[int, ...], count: int, rng: np.random.Generator) -> Places:
    """Choose ``count`` places of each image of an output ``[n, c, height, width]``."""
    images, _, height, width = shape
    count = min(count, height * width)
    drawn = [rng.choice(height * width, count, replace=False) for _ in range(images)]
    rows, columns = np.unravel_index(np.concatenate(drawn), (height, width))
    return np.repeat(np.arange(images), count), rows, columns


def at(values: Activations, places: Places) -> Floats32:
    """Channels at the places, ``[len(places), c]``."""
    image, row, column = places
    return values[image, :, row, column].astype(np.float32)


def patches(
    padded: Codes, kernel: Sequence[int], stride: Sequence[int], places: Places
) -> Floats32:
    """What the kernel covers at the places, ``[len(places), channels * height * width]``."""
    image, row, column = places
    windows = np.lib.stride_tricks.sliding_window_view(padded, tuple(kernel), axis=(2, 3))
    covered = windows[image, :, row * stride[0], column * stride[1]]
    return covered.astype(np.float32).reshape(len(image), -1)
