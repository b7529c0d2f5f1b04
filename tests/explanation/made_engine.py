"""An engine with the real head on a base of one convolution, in the forms that ONNX has for it."""

from pathlib import Path

import numpy as np

from hambatch.engines.loading import write_manifest
from hambatch.engines.manifest import Manifest, Variant

CHANNELS, HIDDEN, CLASSES = 2048, 24, 7

FORMS = ("exported", "means of planes", "gemm")
"""As hambatch exports it; pooled without a transposition; GlobalAveragePool, Flatten and Gemm."""

OTHER_FORMS = {
    "no hidden layer": "ReduceMean between the two layers, not Relu",
    "sigmoid": "Sigmoid between the two layers, not Relu",
    "no bias": "MatMul before logits, not Add",
    "maximum": "ReduceMax before the first layer, not ReduceMean",
    "rows only": "a mean over something else than rows and columns",
    "own pooling": "a first layer that reads another tensor than features",
}
"""What is done to the head instead, and what the refusal says."""


def weights_of(seed: int = 7) -> dict[str, np.ndarray]:
    """Values with which about half of the hidden units are active, others on each image."""
    rng = np.random.default_rng(seed)
    kernel, shift = rng.normal(0, 0.02, (CHANNELS, 3, 1, 1)), rng.normal(-1, 1, CHANNELS)
    grey = np.maximum(kernel.sum(axis=(1, 2, 3)) * 127 + shift, 0)
    w1 = rng.normal(0, 4 / np.sqrt(CHANNELS), (CHANNELS, HIDDEN))
    found = {
        "kernel": kernel,
        "shift": shift,
        "w1": w1,
        "b1": -(grey @ w1),
        "w2": rng.normal(0, 0.6, (HIDDEN, CLASSES)),
        "b2": rng.normal(0, 0.1, CLASSES),
    }
    return {name: values.astype(np.float32) for name, values in found.items()}


def make_engine(folder: Path, form: str = "exported") -> Path:
    folder.mkdir()
    write_graph(folder / "model.onnx", form)
    write_manifest(folder, Manifest("headed", "1", files={}, variants=(_variant(),)))
    return folder


def _variant() -> Variant:
    return Variant("fp32", "model.onnx")


def write_graph(path: Path, form: str = "exported") -> None:
    """Save the graph as ONNX, its first layer's weights as FP16 in the form that is exported."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    values = weights_of()
    node = helper.make_node
    base = [
        node("Cast", ["images"], ["floats"], to=TensorProto.FLOAT),
        node("Transpose", ["floats"], ["planes"], perm=[0, 3, 1, 2]),
        node("AveragePool", ["planes"], ["blocks"], kernel_shape=[32, 32], strides=[32, 32]),
        node("Conv", ["blocks", "kernel", "shift"], ["before"], kernel_shape=[1, 1]),
        node("Relu", ["before"], ["last"]),
    ]
    if form == "gemm":
        values["w1"] = np.ascontiguousarray(values["w1"].T)
        rest = [
            node("GlobalAveragePool", ["last"], ["pooled"]),
            node("Flatten", ["pooled"], ["features"]),
            node("Gemm", ["features", "w1", "b1"], ["hidden"], transB=1),
            node("Relu", ["hidden"], ["active"]),
            node("Gemm", ["active", "w2", "b2"], ["logits"]),
        ]
    else:
        rest = _pooling(form, values) + _layers(form, values)
    if form == "exported":
        values["w1.fp16"] = values.pop("w1").astype(np.float16)
        base.insert(0, node("Cast", ["w1.fp16"], ["w1"], to=TensorProto.FLOAT))
    tensor = helper.make_tensor_value_info
    graph = helper.make_graph(
        base + rest,
        "headed",
        [tensor("images", TensorProto.UINT8, ["batch", 224, 224, 3])],
        [
            tensor("logits", TensorProto.FLOAT, ["batch", CLASSES]),
            tensor("features", TensorProto.FLOAT, ["batch", CHANNELS]),
        ],
        [numpy_helper.from_array(value, name) for name, value in values.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


def _pooling(form: str, values: dict[str, np.ndarray]) -> list[object]:
    from onnx import helper

    node = helper.make_node
    if form == "means of planes":
        values["axes"] = np.array([2, 3])
        return [node("ReduceMean", ["last", "axes"], ["features"], keepdims=0)]
    values["axes"] = np.array([1, 2])
    turned = node("Transpose", ["last"], ["turned"], perm=[0, 2, 3, 1])
    if form == "maximum":
        return [turned, node("ReduceMax", ["turned", "axes"], ["features"], keepdims=0)]
    if form == "rows only":
        values["rows"], values["columns"] = np.array([1]), np.array([1])
        return [
            turned,
            node("ReduceMean", ["turned", "rows"], ["rowless"], keepdims=0),
            node("ReduceMean", ["rowless", "columns"], ["features"], keepdims=0),
        ]
    return [turned, node("ReduceMean", ["turned", "axes"], ["features"], keepdims=0)]


def _layers(form: str, values: dict[str, np.ndarray]) -> list[object]:
    from onnx import helper

    node = helper.make_node
    if form == "no hidden layer":
        values["only"] = values["w1"][:, :CLASSES].copy()
        return [
            node("MatMul", ["features", "only"], ["product"]),
            node("Add", ["product", "b2"], ["logits"]),
        ]
    source, extra = "features", []
    if form == "own pooling":
        source, extra = "own", [node("ReduceMean", ["turned", "axes"], ["own"], keepdims=0)]
        values["twice"] = np.array(2, np.float32)
        extra[0].output[0] = "half"
        extra.append(node("Mul", ["half", "twice"], ["own"]))
    layers = [
        *extra,
        node("MatMul", [source, "w1"], ["first"]),
        node("Add", ["first", "b1"], ["hidden"]),
        node("Sigmoid" if form == "sigmoid" else "Relu", ["hidden"], ["active"]),
    ]
    if form == "no bias":
        return [*layers, node("MatMul", ["active", "w2"], ["logits"])]
    return [
        *layers,
        node("MatMul", ["active", "w2"], ["second"]),
        node("Add", ["second", "b2"], ["logits"]),
    ]
