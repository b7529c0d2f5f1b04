"""A graph's convolutions: checked that they can be quantised, and written with INT8 codes."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hambatch.errors import EngineError
from hambatch.training.export.int8.fitting import Int8Convolution
from hambatch.training.export.onnx_graph import Weights, copy_of, onnx_module, replace_nodes

LOWEST = -128
"""The code of 0: an activation ``x`` of scale ``s`` is stored as the code of ``x - 128 s``."""

ZERO_POINT = "int8.zero_point"


def convolutions(graph: Any) -> list[Any]:
    """List all of them, in the order in which they run.

    Raises EngineError if one is grouped or dilated, pads by a rule, has no bias, or reads its
    weights from elsewhere than the file.
    """
    found = [node for node in graph.node if node.op_type == "Conv"]
    known = {tensor.name for tensor in graph.initializer}
    for node in found:
        odd = {a.name for a in node.attribute} - {"kernel_shape", "strides", "pads"}
        odd -= {a.name for a in node.attribute if _is_default(a)}
        if odd or len(node.input) != 3 or not known.issuperset(node.input[1:]):
            raise EngineError(
                f"the convolution {node.name} has {', '.join(sorted(odd)) or 'no stored bias'}, "
                "wanted stored weights and a bias, one group, explicit padding.\n"
                "Next: hambatch export ENGINE --images DIR, which writes such a graph"
            )
    return found


def _is_default(attribute: Any) -> bool:
    default = {"group": attribute.i == 1, "dilations": list(attribute.ints) == [1, 1]}
    return bool(default.get(attribute.name, attribute.s == b"NOTSET"))


def ints(node: Any, name: str, default: Sequence[int]) -> list[int]:
    """Read an attribute that is a list of integers."""
    found = (list(attribute.ints) for attribute in node.attribute if attribute.name == name)
    return next(found, list(default))


def pads_of(convolution: Any) -> tuple[int, ...]:
    """Rows and columns that it pads with: top, left, bottom, right."""
    return tuple(ints(convolution, "pads", (0, 0, 0, 0)))


def without_pads(convolution: Any) -> Any:
    """Copy a convolution, for an input that is padded already."""
    copy = copy_of(convolution)
    kept = [attribute for attribute in copy.attribute if attribute.name != "pads"]
    del copy.attribute[:]
    copy.attribute.extend(kept)
    return copy


def insert(graph: Any, fitted: Mapping[str, Int8Convolution]) -> None:
    """Quantise these convolutions, each by the name of its output; ``graph`` is changed in place.

    A padded convolution gets a node ``Pad`` before its ``QuantizeLinear``: its own padding
    would be code 0, and zero is code -128.
    """
    writer = _Writer(graph)
    for node in graph.node:
        if node.output[0] in fitted:
            writer.write(node, fitted[node.output[0]])
        else:
            writer.nodes.append(node)
    replace_nodes(graph, writer.nodes)


class _Writer:
    def __init__(self, graph: Any) -> None:
        self.nodes: list[Any] = []
        self._weights = Weights(graph)
        self._inputs: dict[tuple[str, tuple[int, ...]], str] = {}
        self._weights.write(ZERO_POINT, np.array(0, np.int8))

    def write(self, convolution: Any, fitted: Int8Convolution) -> None:
        """Replace its weights by codes, and its input by codes of that."""
        node = without_pads(convolution)
        key = convolution.input[0], pads_of(convolution)
        if key not in self._inputs:
            self._inputs[key] = self._quantised_input(*key, fitted.input_scale)
        node.input[0] = self._inputs[key]
        self._dequantised_weights(node.input[1], fitted)
        self._weights.write(node.input[2], fitted.bias)
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

    def _dequantised_weights(self, name: str, fitted: Int8Convolution) -> None:
        self._weights.remove(name)
        store = self._weights.write
        inputs = [
            store(f"{name}.codes", fitted.codes),
            store(f"{name}.scale", fitted.scales),
            store(f"{name}.zero_point", np.zeros(len(fitted.scales), np.int8)),
        ]
        self._add("DequantizeLinear", inputs, name, axis=0)

    def _add(self, kind: str, inputs: list[str], output: str, **attributes: int) -> str:
        make = onnx_module().helper.make_node
        self.nodes.append(make(kind, inputs, [output], name=f"{output}.node", **attributes))
        return output
