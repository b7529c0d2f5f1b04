import numpy as np
import onnx
import pytest
from onnx import TensorProto

from hambatch.errors import EngineError
from hambatch.training.export.int8.convolutions import convolutions, ints, pads_of
from hambatch.training.export.int8.running import one_by_one
from hambatch.training.export.onnx_graph import Weights
from tests.training.export.int8.residual_graph import QUANTISED, of_kind


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


@pytest.mark.parametrize(
    ("attribute", "says"), [({"group": 2}, "has group"), ({"dilations": [2, 2]}, "has dilations")]
)
def test_a_convolution_of_another_form_is_refused(copied, attribute, says):
    (node,) = [n for n in copied.graph.node if n.name == "conv_2"]
    ((name, value),) = attribute.items()
    node.attribute.append(onnx.helper.make_attribute(name, value))
    with pytest.raises(EngineError, match=rf"conv_2 {says}, wanted"):
        convolutions(copied.graph)


def test_attributes_that_say_what_is_so_without_them_are_none(copied):
    (node,) = [n for n in copied.graph.node if n.name == "conv_2"]
    for name, value in (("group", 1), ("dilations", [1, 1]), ("auto_pad", "NOTSET")):
        node.attribute.append(onnx.helper.make_attribute(name, value))
    assert len(convolutions(copied.graph)) == 7


def test_a_convolution_without_a_bias_is_refused(copied):
    (node,) = [n for n in copied.graph.node if n.name == "conv_2"]
    del node.input[2]
    with pytest.raises(EngineError, match="conv_2 has no stored bias"):
        convolutions(copied.graph)
