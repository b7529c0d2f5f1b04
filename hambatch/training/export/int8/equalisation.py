"""Scaling channels alike before they share one INT8 scale; the graph computes what it did.

Nagel et al., Data-Free Quantization Through Weight Equalization and Bias Correction,
ICCV 2019, arXiv:1906.04721; here with the largest activations instead of weights.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hambatch.errors import EngineError
from hambatch.training.export.int8.convolutions import convolutions
from hambatch.training.export.int8.running import one_by_one
from hambatch.training.export.onnx_graph import Weights, onnx_module, replace_nodes

SAME_CHANNELS = ("Relu", "MaxPool", "Pad", "Transpose")
"""A positive factor a channel passes through these unchanged (Pad pads with zeros)."""

LEAST = 1e-3
"""Of the largest channel: a nearly silent one is not blown up further."""

Maxima = Mapping[str, NDArray[np.float32]]
"""Largest magnitude in each channel, by the name of a tensor that a convolution reads."""

Group = Callable[[str], str]
"""From a tensor's name to that of its group, in which channels share their scales."""

Scales = dict[str, NDArray[np.float64]]
"""What each channel is divided by, by the name of a group."""


def channel_maxima(model: Any, images: NDArray[np.uint8]) -> Maxima:
    """Find the largest magnitude in each channel of each tensor that a convolution reads."""
    names = list(dict.fromkeys(node.input[0] for node in convolutions(model.graph)))
    largest: dict[str, NDArray[np.float32]] = {}
    for values in one_by_one(model.SerializeToString(), images, names):
        for name, value in zip(names, values, strict=True):
            found = np.abs(value).max(axis=(0, 2, 3))
            largest[name] = np.maximum(largest.get(name, found), found)
    return largest


def equalise(graph: Any, maxima: Maxima, power: float) -> None:
    """Divide each channel by (its largest activation)^power; weights make up for it.

    The pooled features are multiplied back, so that ``features`` and ``logits``
    stay what they were. ``graph`` is changed in place. Raises EngineError if a scaled tensor is
    read or written by an operator that would not pass a scale on.
    """
    weights = Weights(graph)
    group = _channel_groups(graph, weights)
    scales = _group_scales(graph, group, maxima, power)
    _refuse_others(graph, weights, group, scales)
    for node in convolutions(graph):
        before, after = scales.get(group(node.input[0])), scales.get(group(node.output[0]))
        kernel, bias = (weights.read(name).astype(np.float64) for name in node.input[1:])
        if before is not None:
            kernel = kernel * before[None, :, None, None]
        if after is not None:
            kernel, bias = kernel / after[:, None, None, None], bias / after
        weights.write(node.input[1], kernel.astype(np.float32))
        weights.write(node.input[2], bias.astype(np.float32))
    _scale_pooled_back(graph, weights, group, scales)


def _channel_groups(graph: Any, weights: Weights) -> Group:
    """Find which tensors have to share their channels' scales: a union by name."""
    parent: dict[str, str] = {}

    def find(name: str) -> str:
        while (above := parent.setdefault(name, name)) != name:
            name = above
        return name

    for node in graph.node:
        if _joins(node, weights):
            for name in node.input[: 2 if node.op_type == "Add" else 1]:
                parent[find(name)] = find(node.output[0])
    return find


def _joins(node: Any, weights: Weights) -> bool:
    """Whether a node's inputs and output have the same channels; a constant has none."""
    if node.op_type == "Add":
        return not any(name in weights for name in node.input)
    return node.op_type in SAME_CHANNELS


def _group_scales(graph: Any, group: Group, maxima: Maxima, power: float) -> Scales:
    pixels = group(convolutions(graph)[0].input[0])
    largest: Scales = {}
    for name, found in maxima.items():
        key = group(name)
        largest[key] = np.maximum(largest.get(key, 0), found.astype(np.float64))
    scales = {}
    for key, values in largest.items():
        if key == pixels or not values.any():
            continue
        # A channel that was 0 on every image is scaled as a median one.
        filled = np.where(values > 0, values, np.median(values[values > 0]))
        scales[key] = np.maximum(filled / filled.max(), LEAST) ** power
    return scales


def _refuse_others(graph: Any, weights: Weights, group: Group, scales: Scales) -> None:
    for node in graph.node:
        if _joins(node, weights) or node.op_type in {"Conv", "ReduceMean"}:
            continue
        if any(group(name) in scales for name in [*node.input, *node.output]):
            raise EngineError(
                f"the graph's {node.op_type} {node.name} stands between convolutions, "
                f"wanted only {', '.join(SAME_CHANNELS)}, Add of two branches and ReduceMean.\n"
                "Next: hambatch export ENGINE --images DIR, which writes such a graph"
            )


def _scale_pooled_back(graph: Any, weights: Weights, group: Group, scales: Scales) -> None:
    make, nodes = onnx_module().helper.make_node, []
    for node in graph.node:
        nodes.append(node)
        scale = scales.get(group(node.input[0]))
        if node.op_type != "ReduceMean" or scale is None:
            continue
        name, scaled = node.output[0], f"{node.output[0]}.equalised"
        node.output[0] = scaled
        factor = weights.write(f"{name}.scale", scale.astype(np.float32))
        nodes.append(make("Mul", [scaled, factor], [name], name=f"{name}.mul"))
    replace_nodes(graph, nodes)
