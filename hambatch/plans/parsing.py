"""An ONNX graph as a TensorRT network: parsed, and what the engine's contract says."""

from dataclasses import dataclass
from typing import Any

from hambatch.engines.manifest import InputSpec
from hambatch.errors import EngineError

OUTPUTS = frozenset({"logits", "features"})


@dataclass(frozen=True)
class Parsed:
    """The network, and the parser that owns some of its weights until the plan is built."""

    network: Any
    parser: Any


def parse(trt: Any, builder: Any, log: Any, content: bytes, spec: InputSpec) -> Parsed:
    """Read a serialized ONNX model into a new, strongly typed network.

    Raises
    ------
    EngineError
        With everything that the parser refuses; or if the input or the outputs are others.
    """
    network = builder.create_network(0)
    parser = trt.OnnxParser(network, log)
    if not parser.parse(content):
        errors = [_said(parser.get_error(k)) for k in range(parser.num_errors)]
        lines = "\n  ".join(errors or log.errors or ["it gives no reason"])
        raise EngineError(
            f"TensorRT {trt.__version__} does not take this graph:\n  {lines}\n"
            "Next: hambatch export, which writes graphs that it takes"
        )
    _check(trt, network, spec)
    return Parsed(network, parser)


def _said(error: Any) -> str:
    """Name the node and the complaint."""
    code = str(error.code()).rpartition(".")[2]
    node = f"{error.node_operator()} node {error.node_name()!r} (number {error.node()})"
    return f"{node}: {error.desc()} [{code}]"


def _check(trt: Any, network: Any, spec: InputSpec) -> None:
    """Compare inputs and outputs with what every engine has; the batch is to be dynamic."""
    found = _signatures(network.get_input(k) for k in range(network.num_inputs))
    wanted = {spec.name: f"{trt.DataType.UINT8} [?,{spec.height},{spec.width},3]"}
    if found != wanted:
        raise _other("input", found, wanted, " The batch dimension has to be dynamic.")
    outputs = _signatures(network.get_output(k) for k in range(network.num_outputs))
    if set(outputs) != OUTPUTS or any(
        str(trt.DataType.FLOAT) not in one for one in outputs.values()
    ):
        raise _other(
            "outputs", outputs, dict.fromkeys(sorted(OUTPUTS), f"{trt.DataType.FLOAT}"), ""
        )


def _signatures(tensors: Any) -> dict[str, str]:
    return {tensor.name: f"{tensor.dtype} [{_sides(tensor.shape)}]" for tensor in tensors}


def _sides(shape: Any) -> str:
    return ",".join("?" if side < 0 else str(side) for side in shape)


def _other(what: str, found: dict[str, str], wanted: dict[str, str], note: str) -> EngineError:
    return EngineError(
        f"the graph's {what} cannot be built for: found {found}, wanted {wanted}.{note}\n"
        "Next: hambatch export, which writes such graphs"
    )
