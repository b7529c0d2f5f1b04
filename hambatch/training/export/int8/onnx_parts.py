"""Reading and replacing the parts of an ONNX graph that quantising touches."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hambatch.errors import EngineError
from hambatch.system.packages import require

PURPOSE = "hambatch export --int8"


def onnx_module() -> Any:
    """Import onnx, or say how to install it."""
    return require("onnx", extra="train", purpose=PURPOSE)


def ints(node: Any, name: str, default: Sequence[int]) -> list[int]:
    """Read an attribute that is a list of integers."""
    for attribute in node.attribute:
        if attribute.name == name:
            return list(attribute.ints)
    return list(default)


def pads_of(convolution: Any) -> tuple[int, ...]:
    """Rows and columns that it pads with: top, left, bottom, right."""
    return tuple(ints(convolution, "pads", (0, 0, 0, 0)))


def without_pads(convolution: Any) -> Any:
    """Copy a convolution that leaves its padding to somebody else."""
    copy = type(convolution)()
    copy.CopyFrom(convolution)
    kept = [attribute for attribute in copy.attribute if attribute.name != "pads"]
    del copy.attribute[:]
    copy.attribute.extend(kept)
    return copy


def convolutions(graph: Any) -> list[Any]:
    """All of them, in the order in which they run.

    Raises
    ------
    EngineError
        If one is grouped or dilated, pads by a rule, has no bias, or reads its
        weights from elsewhere than the file.
    """
    found = [node for node in graph.node if node.op_type == "Conv"]
    known = {tensor.name for tensor in graph.initializer}
    for node in found:
        odd = {a.name for a in node.attribute} - {"kernel_shape", "strides", "pads"}
        odd -= {a.name for a in node.attribute if _plain(a)}
        if odd or len(node.input) != 3 or not known.issuperset(node.input[1:]):
            raise EngineError(
                f"the convolution {node.name} has {', '.join(sorted(odd)) or 'no stored bias'}, "
                "wanted stored weights and a bias, one group, explicit padding.\n"
                "Next: hambatch export ENGINE --images DIR, which writes such a graph"
            )
    return found


def _plain(attribute: Any) -> bool:
    """Whether an attribute says what is so without it."""
    plain = {"group": attribute.i == 1, "dilations": list(attribute.ints) == [1, 1]}
    return bool(plain.get(attribute.name, attribute.s == b"NOTSET"))


class Weights:
    """The stored values of a graph, by name."""

    def __init__(self, graph: Any) -> None:
        self._arrays = onnx_module().numpy_helper
        self._graph = graph
        self._tensors = {tensor.name: tensor for tensor in graph.initializer}

    def __contains__(self, name: object) -> bool:
        """Whether a value of that name is stored."""
        return name in self._tensors

    def tensor(self, name: str) -> Any:
        """As the file has it."""
        return self._tensors[name]

    def read(self, name: str) -> NDArray[Any]:
        """As an array of the stored type."""
        values: NDArray[Any] = self._arrays.to_array(self._tensors[name])
        return values

    def write(self, name: str, values: NDArray[Any]) -> str:
        """Add, or replace."""
        new = self._arrays.from_array(values, name)
        if name in self._tensors:
            self._tensors[name].CopyFrom(new)
        else:
            self._graph.initializer.append(new)
            self._tensors[name] = self._graph.initializer[-1]
        return name

    def remove(self, name: str) -> None:
        """Take it out of the graph."""
        self._graph.initializer.remove(self._tensors.pop(name))


def with_fp32_weights(model: Any) -> Any:
    """Copy a model whose weights are stored as FP16 and cast, with FP32 weights instead."""
    copy = type(model)()
    copy.CopyFrom(model)
    weights = Weights(copy.graph)
    nodes = []
    for node in copy.graph.node:
        if node.op_type == "Cast" and node.input[0] in weights:
            weights.write(node.output[0], weights.read(node.input[0]).astype(np.float32))
            weights.remove(node.input[0])
        else:
            nodes.append(node)
    replace_nodes(copy.graph, nodes)
    return copy


def replace_nodes(graph: Any, nodes: Sequence[Any]) -> None:
    """Give a graph other nodes, or others between them."""
    kept = list(nodes)
    del graph.node[:]
    graph.node.extend(kept)
