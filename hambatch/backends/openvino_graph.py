"""An engine's graph as OpenVINO runs it: read, checked, and INT8 activations made unsigned."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hambatch.engines.backend_names import INT8, graph_precision
from hambatch.engines.loading import Engine
from hambatch.engines.manifest import Manifest
from hambatch.engines.probabilities import softmax
from hambatch.errors import EngineError
from hambatch.system.packages import require
from hambatch.system.shortages import is_of_memory
from hambatch.system.text import last_words

FORM = "unsigned activations"
"""Of the INT8 graph that is compiled: part of the key of kept graphs."""

BATCH_SIZE = 16
"""Images a call of :func:`openvino_probabilities`."""

NUMPY_NAMES = {"f32": "float32", "u8": "uint8"}

LEVELS = 256
SHIFT = 128
"""In codes: what the file takes from every activation."""


def read_graph(engine: Engine, precision: str, request_size: int) -> Any:
    """Read and check the graph of one precision, fix its shape, and adapt it to the CPU's kernels.

    With the batch left open, OpenVINO 2026.4 answers one class for all images where several streams
    run an INT8 graph as it is in the file.

    Raises EngineError if it cannot be read, does not match ``engine.json``, takes weights from
    a file without a sha256, or gives no row for an image.
    """
    stored = graph_precision(precision)
    path = engine.folder / engine.variant(stored).file
    engine.external_data(stored)
    from openvino.frontend import FrontEndManager

    with blaming_graph(path):
        # Core.read_model chooses the format by name and content: others read files of their own.
        frontend = FrontEndManager().load_by_framework("onnx")
        # A mapped file of weights could be changed until the run ends.
        model = frontend.convert(frontend.load(path, enable_mmap=False))
        engine.refuse_replaced(stored)
        check_graph(model, engine.manifest, str(path))
        spec = engine.manifest.input
        model.reshape([request_size, spec.height, spec.width, 3])
        check_graph(model, engine.manifest, str(path), str(request_size))
        if stored == INT8:
            with_unsigned_activations(model)
    return model


@contextmanager
def blaming_graph(path: Path) -> Iterator[None]:
    """Turn what OpenVINO raises about a graph into an EngineError; without memory, MemoryError."""
    from openvino import frontend

    failures = (
        frontend.GeneralFailure,
        frontend.InitializationFailure,
        frontend.NotImplementedFailure,
        frontend.OpConversionFailure,
        frontend.OpValidationFailure,
    )
    try:
        yield
    except (RuntimeError, *failures) as error:
        if is_of_memory(error):
            raise MemoryError(str(error)) from error
        raise EngineError(
            f"{path} is no graph that OpenVINO can run: {last_words(error)}.\n"
            "Next: hambatch export, or install hambatch again"
        ) from error


def check_graph(model: Any, manifest: Manifest, path: str, images: str = "?") -> None:
    """Raise EngineError unless a graph's input and outputs are those of the manifest.

    ``images`` is how many it takes: ``?`` for any number, as it is in the file. The outputs have
    as many rows, or an image could get the row of another.
    """
    spec = manifest.input
    wanted = {
        spec.name: f"{spec.dtype} [{images},{spec.height},{spec.width},3]",
        "logits": f"float32 [{images},{len(manifest.classes)}]",
        "features": f"float32 [{images},2048]",
    }
    found = {port.any_name: _signature(port) for port in [*model.inputs, *model.outputs]}
    if found != wanted:
        raise EngineError(
            f"{path} does not match its engine.json: the graph has {found}, wanted {wanted}.\n"
            "Next: hambatch export, or install hambatch again"
        )


def _signature(port: Any) -> str:
    kind = port.element_type.get_type_name()
    sides = ("?" if side.is_dynamic else str(side.get_length()) for side in port.partial_shape)
    return f"{NUMPY_NAMES.get(kind, kind)} [{','.join(sides)}]"


def openvino_probabilities(content: bytes, images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Softmax of a serialized ONNX model, run in FP32 on the CPU: float64 ``[n, 7]``."""
    openvino = require("openvino", extra="", purpose="the check of an export")
    core = openvino.Core()
    # Without the hint some CPUs would compute in BF16.
    hint = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = core.compile_model(core.read_model(content), "CPU", hint)
    starts = range(0, len(images), BATCH_SIZE)
    parts = [compiled(images[k : k + BATCH_SIZE])["logits"].copy() for k in starts]
    return softmax(np.concatenate(parts))


def with_unsigned_activations(model: Any) -> int:
    """Rewrite every convolution that reads signed codes of ``x - 128 s``, and count them.

    A convolution of any other form stays as it is. Codes of both forms name the same value for
    every ``x``: those below 0 the least, which is 0. ``model`` is an ``openvino.Model`` as it is
    read from the file, and changed in place.
    """
    quantised: dict[tuple[str, float], Any] = {}
    found = [node for node in model.get_ordered_ops() if node.get_type_name() == "Convolution"]
    return sum(_rewrite(node, quantised) for node in found)


@dataclass(frozen=True)
class _Signed:
    """What a convolution reads: codes of ``source - 128 scale``, padded on every side."""

    source: Any
    scale: float
    pads: tuple[list[int], list[int]]


def _rewrite(convolution: Any, quantised: dict[tuple[str, float], Any]) -> bool:
    from openvino import opset13 as opset

    signed, bias = _signed(convolution.input_value(0)), _bias(convolution)
    kernel = _value(convolution.input_value(1))
    if signed is None or bias is None or kernel is None:
        return False
    added, stored = bias
    key = signed.source.get_node().get_friendly_name(), signed.scale
    if key not in quantised:
        top = np.float32((LEVELS - 1) * signed.scale)
        zero = np.float32(0)
        quantised[key] = opset.fake_quantize(signed.source, zero, top, zero, top, LEVELS)
    begin, end = signed.pads
    unsigned = opset.convolution(
        quantised[key],
        convolution.input_value(1),
        convolution.get_attributes()["strides"],
        begin,
        end,
        convolution.get_attributes()["dilations"],
    )
    unsigned.set_friendly_name(convolution.get_friendly_name())
    # The bias of the file makes up for the shift, which is no longer there.
    shift = SHIFT * signed.scale * kernel.sum(axis=(1, 2, 3), dtype=np.float64)
    own = opset.subtract(stored, shift.reshape(1, -1, 1, 1).astype(np.float32))
    total = opset.add(unsigned, own)
    total.set_friendly_name(added.get_friendly_name())
    added.output(0).replace(total.output(0))
    return True


def _signed(read: Any) -> _Signed | None:
    """Walk back from a convolution's input to the activation; None where it is of another form."""
    if (dequantised := _step(read, "Multiply")) is None:
        return None
    scale = _number(dequantised.input_value(1))
    codes = _through(dequantised.input_value(0), ("Subtract", "Convert"))
    if scale is None or (quantiser := _step(codes, "FakeQuantize")) is None:
        return None
    lowest, highest = -SHIFT * scale, (LEVELS - 1 - SHIFT) * scale
    if not _is(quantiser.input_value(1), lowest) or not _is(quantiser.input_value(2), highest):
        return None
    last, pads = quantiser.input_value(0), ([0, 0], [0, 0])
    if (padded := _step(last, "Pad")) is not None:
        begin, end = (_value(padded.input_value(k)) for k in (1, 2))
        if begin is None or end is None or not _is(padded.input_value(3), lowest):
            return None
        if begin[:2].any() or end[:2].any():
            return None  # not only rows and columns
        last, pads = padded.input_value(0), (begin.tolist()[2:], end.tolist()[2:])
    shifted = _step(last, "Subtract")
    if shifted is None or not _is(shifted.input_value(1), SHIFT * scale):
        return None
    return _Signed(shifted.input_value(0), scale, pads)


def _bias(convolution: Any) -> tuple[Any, Any] | None:
    """Find the node that alone reads the convolution and adds a value a channel, and the value."""
    from openvino import PartialShape

    everyone = convolution.output(0).get_target_inputs()
    # A ShapeOf reads it too, for the shape of the bias alone.
    readers = [port for port in everyone if port.get_node().get_type_name() != "ShapeOf"]
    if len(readers) != 1 or (added := readers[0].get_node()).get_type_name() != "Add":
        return None
    stored = added.input_value(1 - readers[0].get_index())
    each = [1, convolution.output(0).get_partial_shape()[1].get_length(), 1, 1]
    return (added, stored) if stored.get_partial_shape() == PartialShape(each) else None


def _step(port: Any, *kinds: str) -> Any:
    """Return the node behind a port if it is of that kind."""
    node = port.get_node()
    return node if node.get_type_name() in kinds else None


def _through(port: Any, kinds: tuple[str, ...]) -> Any:
    """Walk back over nodes of these kinds."""
    while (node := _step(port, *kinds)) is not None:
        port = node.input_value(0)
    return port


def _number(port: Any) -> float | None:
    values = _value(port)
    return None if values is None or values.size != 1 else float(values.item())


def _is(port: Any, wanted: float) -> bool:
    """Whether a port holds that number, but for rounding."""
    found = _number(port)
    return found is not None and math.isclose(found, wanted, rel_tol=1e-5)


def _value(port: Any) -> NDArray[Any] | None:
    """Work out a port that depends on stored values alone."""
    node = port.get_node()
    kind = node.get_type_name()
    if kind == "Constant":
        return np.asarray(node.data)
    inputs = [_value(value) for value in node.input_values()]
    if kind not in _ARITHMETIC or any(value is None for value in inputs):
        return None
    done: NDArray[Any] = _ARITHMETIC[kind](*inputs)
    return done


_ARITHMETIC: dict[str, Any] = {
    "Convert": lambda values: values.astype(np.float32),
    "Reshape": lambda values, shape: values.reshape(shape),
    "Subtract": np.subtract,
    "Multiply": np.multiply,
}
