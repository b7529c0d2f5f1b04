"""The tiny engine with a second, INT8 graph: signed, zero-point 0, as TensorRT wants it too.

And gates, measured or not, of every precision.
"""

import shutil
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np

from hambatch.engines.backend_names import BACKEND_OF_GATES, INT8, Cheaper, graph_precision
from hambatch.engines.loading import write_manifest
from hambatch.engines.manifest import Manifest, Variant, read_manifest
from hambatch.engines.measurements import Change, Gate


def with_int8(engine: Path, place: Path, *, mixed_up: bool = False) -> Path:
    """Copy an engine and add ``model.int8.onnx``; ``mixed_up``: with the classes reversed."""
    folder = Path(shutil.copytree(engine, place))
    write_int8_graph(folder / "model.onnx", folder / "model.int8.onnx", mixed_up=mixed_up)
    manifest = read_manifest(folder)
    variants = (*manifest.variants, Variant(INT8, "model.int8.onnx"))
    write_manifest(folder, replace(manifest, variants=variants))
    return folder


def write_int8_graph(source: Path, path: Path, *, mixed_up: bool) -> None:
    """Put Q/DQ before both inputs of every MatMul of the tiny graph."""
    import onnx
    from onnx import numpy_helper

    model = onnx.load(source)
    weights = {one.name: numpy_helper.to_array(one) for one in model.graph.initializer}
    pixels = np.float32(255 / 127)
    nodes = quantised("colours", pixels, model)
    for node in model.graph.node:
        if node.op_type == "MatMul":
            name = node.input[1]
            values = weights[name][:, ::-1].copy() if mixed_up else weights[name]
            replaced = next(one for one in model.graph.initializer if one.name == name)
            replaced.CopyFrom(numpy_helper.from_array(values, name))
            # Two products of a code of 63 and one of 255 fit into 16 bits, which AVX2 adds them in.
            nodes += quantised(name, np.float32(np.abs(values).max() / 63), model)
            node.input[0], node.input[1] = "colours_dq", f"{name}_dq"
    first = next(k for k, node in enumerate(model.graph.node) if node.op_type == "MatMul")
    kept = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*kept[:first], *nodes, *kept[first:]])
    onnx.checker.check_model(model)
    onnx.save(model, path)


def answer_one_class(graph: Path) -> None:
    """Change a graph of the tiny engine: every image is of the fifth class, for sure."""
    import onnx
    from onnx import numpy_helper

    model = onnx.load(graph)
    weights = next(one for one in model.graph.initializer if one.name == "to_logits")
    values = numpy_helper.to_array(weights).copy()
    values[:, 4] = np.abs(values).max()
    weights.CopyFrom(numpy_helper.from_array(values, weights.name))
    onnx.save(model, graph)


def quantised(name: str, scale: np.float32, model: object) -> list[object]:
    """Make the two nodes after ``name``; the result is ``name_dq``."""
    from onnx import helper, numpy_helper

    step, zero = f"{name}_scale", f"{name}_zero"
    values = {step: np.array(scale), zero: np.array(0, np.int8)}
    tensors = [numpy_helper.from_array(value, one) for one, value in values.items()]
    model.graph.initializer.extend(tensors)
    return [
        helper.make_node("QuantizeLinear", [name, step, zero], [f"{name}_q"]),
        helper.make_node("DequantizeLinear", [f"{name}_q", step, zero], [f"{name}_dq"]),
    ]


def gate_of(
    manifest: Manifest, instruction_set: str, flips: int = 9, precision: Cheaper = "int8"
) -> Gate:
    """A gate of this engine's graphs on 1,000 images; it passes up to 20 flips, of BF16 up to 5."""
    graphs = {p: manifest.files[manifest.variant(p).file].sha256 for p in ("fp32", "int8")}
    return Gate(
        backend=BACKEND_OF_GATES,
        instruction_set=instruction_set,
        images=1000,
        lesions=700,
        label_flips=flips,
        balanced_accuracy=Change(0.62, 0.618, (-0.5, 0.2)),
        melanoma_sensitivity=Change(0.42, 0.41, (-2.0, 1.0)),
        split_sha256="5" * 64,
        fp32_sha256=graphs["fp32"],
        int8_sha256=None if precision == "bf16" else graphs["int8"],
        precision=precision,
        versions={"openvino": version("openvino")},
    )


def put_gate(folder: Path, *gates: Gate) -> None:
    """Write gates into `engine.json`, measured or not, in place of all that are there."""
    write_manifest(folder, with_gates(read_manifest(folder), *gates))


def with_gates(manifest: Manifest, *gates: Gate) -> Manifest:
    """Put each gate to its graph, in place of all that are there."""

    def of(variant: Variant) -> tuple[Gate, ...]:
        return tuple(one for one in gates if graph_precision(one.precision) == variant.precision)

    variants = tuple(replace(variant, gates=of(variant)) for variant in manifest.variants)
    return replace(manifest, variants=variants)
