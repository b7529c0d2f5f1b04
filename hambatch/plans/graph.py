"""The ONNX that a plan of one precision is built from."""

from dataclasses import dataclass, field
from typing import Any

from hambatch.engines.choice import FP32
from hambatch.engines.loading import Engine
from hambatch.plans.fp16_check import check_fp16
from hambatch.plans.fp16_graph import to_fp16
from hambatch.plans.invariance import Images

FP16 = "fp16"


@dataclass(frozen=True)
class Graph:
    """A serialized model; ``conversion`` says how far an FP16 one is from FP32."""

    content: bytes
    conversion: dict[str, Any] = field(default_factory=dict)


def source_of(engine: Engine, precision: str) -> str:
    """Name the file of the engine's folder that it is made from.

    Raises
    ------
    EngineError
        If the engine has no such graph.
    """
    return engine.variant(FP32 if precision == FP16 else precision).file


def graph_of(engine: Engine, precision: str, images: Images) -> Graph:
    """Read the graph; FP16 is converted from FP32, and checked on the images.

    Raises
    ------
    EngineError
        If the engine has no such graph, or FP16 is too far from FP32.
    """
    content = (engine.folder / source_of(engine, precision)).read_bytes()
    if precision != FP16:
        return Graph(content)
    half = to_fp16(content)
    return Graph(half, check_fp16(content, half, images))
