"""The FP16 graph has FP16 types where it may, and says what the FP32 graph says."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from hambatch.backends.openvino_graph import openvino_probabilities
from hambatch.backends.tensorrt.plans.fp16 import as_if_fp16, check_fp16, to_fp16
from hambatch.backends.tensorrt.plans.invariance import Images
from hambatch.engines.loading import Engine
from hambatch.errors import EngineError
from tests.backends.tensorrt.plans.rtx import openvino_predict


def types_of(content: bytes) -> dict[str, int]:
    model = onnx.shape_inference.infer_shapes(onnx.load_from_string(content))
    graph = model.graph
    values = [*graph.input, *graph.output, *graph.value_info]
    found = {value.name: value.type.tensor_type.elem_type for value in values}
    return found | {tensor.name: tensor.data_type for tensor in graph.initializer}


def test_input_and_outputs_keep_their_types_and_the_mean_is_taken_off_in_fp32(half: bytes) -> None:
    types, graph = types_of(half), onnx.load_from_string(half).graph
    assert types["images"] == TensorProto.UINT8
    assert types["logits"] == types["features"] == TensorProto.FLOAT
    (mean,) = (node for node in graph.node if node.op_type == "Sub")
    assert types[mean.output[0]] == types[mean.input[0]] == TensorProto.FLOAT


def test_every_convolution_and_product_is_fp16_but_the_first(half: bytes) -> None:
    types, graph = types_of(half), onnx.load_from_string(half).graph
    first, *heavy = [node for node in graph.node if node.op_type in {"Conv", "MatMul", "Gemm"}]
    assert {types[name] for name in [*first.input, *first.output]} == {TensorProto.FLOAT}
    assert len(heavy) == 54
    for node in heavy:
        assert {types[name] for name in [*node.input, *node.output]} == {TensorProto.FLOAT16}


def test_weights_that_are_stored_as_fp16_go_in_without_a_cast(half: bytes, fp32: bytes) -> None:
    graph = onnx.load_from_string(half).graph
    weights = {tensor.name for tensor in graph.initializer}
    assert not [n for n in graph.node if n.op_type == "Cast" and n.input[0] in weights]
    # 23.6 + 1.1 million of two bytes each.
    assert len(half) < len(fp32) < 51e6


def test_the_same_graph_gives_the_same_bytes(half: bytes, fp32: bytes) -> None:
    assert to_fp16(fp32) == half


def test_rounding_moves_the_sentinels_by_little_and_no_label(
    fp32: bytes, half: bytes, sentinels: Images, default_engine: Engine
) -> None:
    measured = check_fp16(fp32, half, sentinels)
    assert 1e-5 < measured["weights"]["max_difference"] < 2e-4
    assert 2e-4 < measured["values"]["max_difference"] < 2e-3
    assert measured["weights"]["label_flips"] == measured["values"]["label_flips"] == 0
    wanted = [p.probabilities for p in default_engine.manifest.sentinels.pictures]
    found = openvino_probabilities(half, sentinels)
    np.testing.assert_allclose(found, np.array(wanted), atol=2e-4, rtol=0)


def small(weights: Any, *, softmax: bool = False) -> bytes:
    """Make a graph: the mean of the pixels, times weights, to seven logits."""
    nodes = [
        helper.make_node("Cast", ["images"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["pixels", "axes"], ["features"], keepdims=0),
        helper.make_node("MatMul", ["features", "weights"], ["product"]),
        helper.make_node("Softmax" if softmax else "Relu", ["product"], ["logits"]),
    ]
    images = helper.make_tensor_value_info("images", TensorProto.UINT8, ["batch", 224, 224, 3])
    outputs = [
        helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 7]),
        helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", 3]),
    ]
    initializers = [
        numpy_helper.from_array(np.asarray(weights, np.float32), "weights"),
        numpy_helper.from_array(np.array([1, 2], np.int64), "axes"),
    ]
    graph = helper.make_graph(nodes, "small", [images], outputs, initializers)
    opsets = [helper.make_opsetid("", 18)]
    content: bytes = helper.make_model(
        graph, opset_imports=opsets, ir_version=9
    ).SerializeToString()
    return content


def test_what_is_rounded_is_what_numpy_rounds() -> None:
    weights = np.random.default_rng(0).normal(0, 0.01, (3, 7))
    images = np.random.default_rng(1).integers(0, 256, (5, 224, 224, 3), np.uint8)
    found = openvino_predict(as_if_fp16(small(weights)))(images)
    features = images.reshape(5, -1, 3).mean(axis=1, dtype=np.float64).astype(np.float16)
    product = features.astype(np.float64) @ weights.astype(np.float32).astype(np.float16).astype(
        np.float64
    )
    wanted = np.maximum(product.astype(np.float16), 0)
    np.testing.assert_allclose(found, wanted, rtol=2**-10)
    # It is rounded at all: FP16 has 11 bits.
    np.testing.assert_array_equal(found, found.astype(np.float16))


def test_a_softmax_stays_fp32() -> None:
    content = to_fp16(small(np.ones((3, 7)), softmax=True))
    types, graph = types_of(content), onnx.load_from_string(content).graph
    (softmax,) = (node for node in graph.node if node.op_type == "Softmax")
    assert types[softmax.input[0]] == types[softmax.output[0]] == TensorProto.FLOAT


@pytest.mark.parametrize("value", [7e4, float("nan")])
def test_a_weight_that_fp16_cannot_hold_is_named(value: float) -> None:
    with pytest.raises(EngineError, match=r"the weight weights holds.*65504"):
        to_fp16(small(np.full((3, 7), value)))


def test_an_engine_that_fp16_spoils_is_refused(sentinels: Images) -> None:
    # Logits of some hundreds that differ by less than FP16 resolves.
    content = small((1000 + np.random.default_rng(0).normal(0, 0.02, (3, 7))) / 300)
    with pytest.raises(EngineError, match=r"(?s)moves by .*--precision fp32"):
        check_fp16(content, to_fp16(content), sentinels)


def test_the_tiny_engine_without_a_mean_is_converted_too(tiny_engine: Path) -> None:
    content = (tiny_engine / "model.onnx").read_bytes()
    images = np.random.default_rng(2).integers(0, 256, (3, 224, 224, 3), np.uint8)
    wanted = openvino_probabilities(content, images)
    found = openvino_probabilities(to_fp16(content), images)
    np.testing.assert_allclose(found, wanted, atol=0.05)
