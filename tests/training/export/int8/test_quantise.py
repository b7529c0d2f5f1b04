import numpy as np
import onnx
import openvino
import pytest
from onnx import TensorProto

from hambatch.backends.openvino_graph import check_graph
from hambatch.engines.manifest import Manifest
from hambatch.errors import EngineError
from hambatch.training.export.int8.equalisation import channel_maxima, equalise
from hambatch.training.export.int8.fitting import Int8Convolution, pair_sums
from hambatch.training.export.int8.insertion import insert
from hambatch.training.export.int8.onnx_parts import (
    Weights,
    convolutions,
    ints,
    pads_of,
    with_fp32_weights,
)
from hambatch.training.export.int8.quantise import quantise, serialized
from hambatch.training.export.int8.running import logits_of, one_by_one
from tests.training.export.int8.residual_graph import CONVOLUTIONS, OPTIONS

QUANTISED = [name for name in CONVOLUTIONS if name != "conv_0"]


def of_kind(graph, kind):
    return [node for node in graph.node if node.op_type == kind]


def test_every_convolution_but_the_first_is_quantised_and_told(made, int8_graph):
    assert made[1] == QUANTISED
    dequantised = {n.output[0] for n in of_kind(int8_graph, "DequantizeLinear")}
    for node in of_kind(int8_graph, "Conv"):
        assert dequantised.issuperset(node.input[:2]) == (node.name != "conv_0")


def test_equalising_changes_no_output(residual, calibration, others):
    model = onnx.ModelProto.FromString(residual.SerializeToString())
    equalise(model.graph, channel_maxima(model, calibration), 0.5)
    for name in ("features", "logits"):
        before, after = (
            np.concatenate([v[0].copy() for v in one_by_one(m.SerializeToString(), others, [name])])
            for m in (residual, model)
        )
        np.testing.assert_allclose(after, before, atol=2e-5 * np.abs(before).max())


def test_equalising_brings_channels_nearer_to_each_other(residual, calibration):
    model = onnx.ModelProto.FromString(residual.SerializeToString())
    before = channel_maxima(model, calibration)
    equalise(model.graph, before, 1.0)
    after = channel_maxima(model, calibration)
    assert after["relu_2"].max() / after["relu_2"].min() < 1.001
    assert before["relu_2"].max() / before["relu_2"].min() > 2


def test_equalising_refuses_an_operator_that_would_change_the_answer(residual, calibration):
    model = onnx.ModelProto.FromString(residual.SerializeToString())
    (relu,) = [node for node in model.graph.node if node.name == "relu_4"]
    relu.op_type = "Sigmoid"
    with pytest.raises(EngineError, match="Sigmoid"):
        equalise(model.graph, channel_maxima(model, calibration), 0.5)


def test_codes_are_signed_with_zero_point_0_and_nothing_but_pixels_is_uint8(int8_graph):
    weights = Weights(int8_graph)
    both = of_kind(int8_graph, "QuantizeLinear") + of_kind(int8_graph, "DequantizeLinear")
    assert len(both) > len(QUANTISED)
    for node in both:
        zero_point = weights.read(node.input[2])
        assert zero_point.dtype == np.int8
        assert not zero_point.any()
    shaped = onnx.shape_inference.infer_shapes(onnx.helper.make_model(int8_graph)).graph
    values = [*shaped.value_info, *shaped.output, *shaped.input]
    unsigned = [v.name for v in values if v.type.tensor_type.elem_type == TensorProto.UINT8]
    assert unsigned == ["images"]
    assert all(tensor.data_type != TensorProto.UINT8 for tensor in int8_graph.initializer)


def test_no_two_products_can_leave_16_bits(int8_graph):
    codes = [Weights(int8_graph).read(f"{name}.kernel.codes") for name in QUANTISED]
    for code in codes:
        assert code.dtype == np.int8
        assert 255 * pair_sums(code).max() < 2**15
        assert code.min() >= -127
    # Without the limit they would: the largest codes use the whole range.
    assert max(np.abs(code.astype(int)).max() for code in codes) > 100


def test_the_graph_is_what_its_engine_promises(made):
    manifest = Manifest("residual", "1", files={}, variants=())
    check_graph(openvino.Core().read_model(made[0]), manifest, "model.int8.onnx")


def test_the_same_images_give_the_same_bytes(residual, calibration, made):
    again = quantise(residual.SerializeToString(), calibration, OPTIONS, lambda _: None)
    assert again == made[0]


def test_weights_stored_as_fp16_are_read_too(residual, calibration, monkeypatch):
    monkeypatch.setattr("hambatch.training.export.keras_to_onnx.MIN_ELEMENTS", 10_000)
    content = serialized(residual)
    graph = onnx.ModelProto.FromString(content).graph
    assert TensorProto.FLOAT16 in {tensor.data_type for tensor in graph.initializer}
    read = with_fp32_weights(onnx.ModelProto.FromString(content))
    assert [node.op_type for node in read.graph.node].count("Cast") == 1
    np.testing.assert_array_equal(
        logits_of(read.SerializeToString(), calibration), logits_of(content, calibration)
    )


def test_it_is_nearer_to_fp32_than_rounding_alone(residual, calibration, others, made):
    wanted = logits_of(residual.SerializeToString(), others)
    ours = logits_of(made[0], others) - wanted
    plain = logits_of(rounded(residual, calibration), others) - wanted
    assert np.sqrt((ours**2).mean()) < 0.5 * np.sqrt((plain**2).mean())


def rounded(residual, calibration):
    """Round weights and activations to the nearest of codes that are as safe: 7 bits."""
    model = onnx.ModelProto.FromString(residual.SerializeToString())
    weights = Weights(model.graph)
    largest = channel_maxima(model, calibration)
    found = {}
    for node in convolutions(model.graph)[1:]:
        kernel, bias = (weights.read(name) for name in node.input[1:])
        scales = np.abs(kernel).max(axis=(1, 2, 3)) / np.float32(64)
        codes = np.rint(kernel / scales[:, None, None, None]).astype(np.int8)
        step = np.float32(largest[node.input[0]].max() / 255)
        taken_out = 128 * step * (codes * scales[:, None, None, None]).sum(axis=(1, 2, 3))
        shifted = (bias + taken_out).astype(np.float32)
        found[node.output[0]] = Int8Convolution(codes, scales, shifted, step, 0.0)
    insert(model.graph, found)
    return serialized(model)


@pytest.mark.parametrize("name", ["conv_2", "conv_4"])
def test_openvino_computes_what_the_codes_stand_for_at_borders_too(made, int8_graph, others, name):
    (node,) = [n for n in of_kind(int8_graph, "Conv") if n.name == name]
    makers = {n.output[0]: n for n in int8_graph.node}
    chain = [makers[node.input[0]]]
    while chain[-1].op_type in {"DequantizeLinear", "QuantizeLinear", "Pad"}:
        chain.append(makers[chain[-1].input[0]])
    assert ("Pad" in {n.op_type for n in chain}) == (name == "conv_2")
    source = chain[-1].input[0]
    outputs = [source, node.output[0]]
    (read, found), *_ = one_by_one(made[0], others, outputs)
    wanted = simulated(Weights(int8_graph), node, chain, read)
    np.testing.assert_allclose(found[0], wanted, atol=1e-4 * np.abs(wanted).max())


def simulated(weights, node, chain, values):
    """Add up whole numbers in numpy: ``[outputs, height, width]``."""
    scale = weights.read(chain[0].input[1])
    codes = np.clip(np.rint(values[0] / scale) - 128, -128, 127).astype(np.int64)
    (_, _, height, width), stride = shape_of(weights, node), ints(node, "strides", (1, 1))[0]
    if height == 3:
        # Zero is code -128: what lies beyond the border.
        codes = np.pad(codes, ((0, 0), (1, 1), (1, 1)), constant_values=-128)
    assert not any(pads_of(node))
    windows = np.lib.stride_tricks.sliding_window_view(codes, (height, width), axis=(1, 2))
    windows = windows[:, ::stride, ::stride]
    kernel = weights.read(f"{node.input[1]}.codes").astype(np.int64)
    sums = np.einsum("oihw,iabhw->oab", kernel, windows)
    steps = weights.read(f"{node.input[1]}.scale").astype(np.float64) * scale
    return sums * steps[:, None, None] + weights.read(node.input[2])[:, None, None]


def shape_of(weights, node):
    return weights.read(f"{node.input[1]}.codes").shape


def test_a_convolution_that_reads_negative_values_is_refused(residual, calibration):
    model = onnx.ModelProto.FromString(residual.SerializeToString())
    nodes = [n for n in model.graph.node if n.name != "relu_4"]
    for n in nodes:
        n.input[:] = ["conv_5.out" if name == "relu_4" else name for name in n.input]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    with pytest.raises(EngineError, match=r"conv_6 reads values down to -.*\nNext: "):
        quantise(model.SerializeToString(), calibration[:2], OPTIONS, lambda _: None)
