"""An engine's graph as OpenVINO reads it: of the shape that is run, and what its manifest says."""

from typing import Any

from hambatch.backends.openvino_unsigned import with_unsigned_activations
from hambatch.engines.choice import INT8
from hambatch.engines.loading import Engine
from hambatch.engines.manifest import Manifest
from hambatch.errors import EngineError


def read_graph(core: Any, engine: Engine, precision: str, request_size: int) -> Any:
    """Read and check the graph of one precision, fix its shape, and make it the kernels' own.

    Raises
    ------
    EngineError
        If it cannot be read, or its input or outputs are not those of ``engine.json``.
    """
    path = engine.folder / engine.variant(precision).file
    try:
        model = core.read_model(path)
    except RuntimeError as error:
        raise EngineError(
            f"{path} is no graph that OpenVINO can read: {str(error).splitlines()[-1]}.\n"
            "Next: hambatch engines verify"
        ) from error
    check_graph(model, engine.manifest, str(path))
    spec = engine.manifest.input
    model.reshape([request_size, spec.height, spec.width, 3])
    if precision == INT8:
        with_unsigned_activations(model)
    return model


def check_graph(model: Any, manifest: Manifest, path: str) -> None:
    """Compare a graph's input and outputs with the manifest.

    Raises
    ------
    EngineError
        Naming what the graph has and what the manifest wants.
    """
    spec = manifest.input
    wanted = {
        spec.name: f"{spec.dtype} [?,{spec.height},{spec.width},3]",
        "logits": f"float32 [?,{len(manifest.classes)}]",
        "features": "float32 [?,2048]",
    }
    found = {port.any_name: _signature(port) for port in [*model.inputs, *model.outputs]}
    if found != wanted:
        raise EngineError(
            f"{path} does not match its engine.json: the graph has {found}, wanted {wanted}.\n"
            "Next: hambatch export, or install hambatch again"
        )


def _signature(port: Any) -> str:
    kind = {"f32": "float32", "u8": "uint8"}.get(
        port.element_type.get_type_name(), port.element_type.get_type_name()
    )
    first, *rest = port.partial_shape
    sides = ["?" if first.is_dynamic else str(first)]
    sides += ["?" if side.is_dynamic else str(side.get_length()) for side in rest]
    return f"{kind} [{','.join(sides)}]"
