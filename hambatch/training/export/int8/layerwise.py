"""The walk through the network: each convolution is fitted to what the ones before it do."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hambatch.errors import EngineError
from hambatch.training.export.int8.fitting import Int8Convolution, at, draw_places, fit, patches
from hambatch.training.export.int8.insertion import LOWEST, activation_scale, codes_of
from hambatch.training.export.int8.onnx_parts import (
    Weights,
    convolutions,
    ints,
    pads_of,
    without_pads,
)
from hambatch.training.export.int8.running import NodeRunner
from hambatch.training.options import Int8Options

Tell = Callable[[str], None]


Codes = NDArray[np.int8]


def walk(
    graph: Any, images: NDArray[np.uint8], options: Int8Options, tell: Tell
) -> dict[str, Int8Convolution]:
    """Quantise all convolutions but the first ``keep_fp32``, in the order in which they run.

    The activations of all images lie in memory, those of the FP32 network and
    those of the quantised one, each for as long as a later node reads it: in FP16,
    whose rounding is a twentieth of what INT8 costs at its best.

    Raises
    ------
    EngineError
        If a convolution's input can be negative, or none is left to quantise.
    """
    network = _Walk(graph, images, options)
    chosen = _to_quantise(graph, options)
    found = {}
    for index, node in enumerate(_until_pooled(graph)):
        if node.output[0] in chosen:
            done = network.quantise(node, np.random.default_rng([options.seed, index]))
            found[node.output[0]] = done
            tell(f"{node.name} relative error {done.error:.4f}")
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


def _until_pooled(graph: Any) -> list[Any]:
    nodes = list(graph.node)
    kinds = [node.op_type for node in nodes]
    return nodes[: kinds.index("ReduceMean")] if "ReduceMean" in kinds else nodes


class _Walk:
    """Activations of both networks, by the tensor's name."""

    def __init__(self, graph: Any, images: NDArray[np.uint8], options: Int8Options) -> None:
        self._nodes: Sequence[Any] = list(graph.node)
        self._weights, self._run, self._options = Weights(graph), NodeRunner(graph), options
        self._exact: dict[str, Any] = {graph.input[0].name: images}
        self._quantised = dict(self._exact)
        self._codes: dict[str, tuple[np.float32, Codes]] = {}
        self._last_read = {name: k for k, node in enumerate(self._nodes) for name in node.input}

    def pass_on(self, node: Any) -> None:
        """Run a node that stays as it is; once, while both networks are still alike."""
        names = [name for name in node.input if name in self._exact]
        out = node.output[0]
        self._exact[out] = self._run(node, {name: self._exact[name] for name in names})
        if all(self._exact[name] is self._quantised[name] for name in names):
            self._quantised[out] = self._exact[out]
        else:
            self._quantised[out] = self._run(node, {name: self._quantised[name] for name in names})

    def quantise(self, node: Any, rng: np.random.Generator) -> Int8Convolution:
        """Fit a convolution, and let the quantised network go on with its output."""
        source, kernel_name, bias_name = node.input
        exact = self._run(node, {source: self._exact[source]})
        scale, codes = self._input(node, rng)
        kernel = self._weights.read(kernel_name)
        places = draw_places(exact.shape, self._options.positions, rng)
        wanted = at(exact, places)
        branch = self._other_branch(node)
        if branch:
            wanted = wanted + at(self._exact[branch], places) - at(self._quantised[branch], places)
        seen = patches(codes, kernel.shape[2:], ints(node, "strides", (1, 1)), places)
        seen *= scale
        done = fit(kernel, seen, wanted, scale, self._options)
        stored = {kernel_name: done.weights * scale, bias_name: done.bias}
        self._exact[node.output[0]] = exact
        self._quantised[node.output[0]] = self._run(without_pads(node), {source: codes}, stored)
        return done

    def forget(self, index: int) -> None:
        """Drop what no later node reads."""
        for name in [n for n in self._exact if self._last_read.get(n, index + 1) <= index]:
            del self._exact[name], self._quantised[name]
            self._codes.pop(name, None)

    def _input(self, node: Any, rng: np.random.Generator) -> tuple[np.float32, Codes]:
        """Its input's scale, and the input's codes, padded with what stands for 0."""
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
                others = [name for name in reader.input if name != out]
                return next((name for name in others if name in self._quantised), "")
        return ""
