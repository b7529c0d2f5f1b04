import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from hambatch.backends.openvino_graph import openvino_probabilities
from hambatch.engines.probabilities import compare
from hambatch.errors import EngineError
from hambatch.training.export.onnx_graph import (
    MIN_ELEMENTS,
    store_weights_as_fp16,
    with_fp32_weights,
)


def large_ones(model):
    return [tensor for tensor in model.graph.initializer if np.prod(tensor.dims) >= MIN_ELEMENTS]


def test_large_weights_take_half_and_the_answer_is_nearly_the_same(converted, images):
    stored = store_weights_as_fp16(converted)
    whole, half = converted.SerializeToString(), stored.SerializeToString()
    saved = sum(2 * np.prod(tensor.dims) for tensor in large_ones(converted))
    assert len(whole) - len(half) == pytest.approx(saved, rel=1e-3)
    measured = compare(*(openvino_probabilities(content, images) for content in (whole, half)))
    assert 0 < measured["max_difference"] < 2e-3


def test_every_stored_weight_is_cast_once_and_computed_in_fp32(converted):
    stored = store_weights_as_fp16(converted)
    halves = [t for t in stored.graph.initializer if t.data_type == onnx.TensorProto.FLOAT16]
    readers = [node for node in stored.graph.node if node.input[0] in {t.name for t in halves}]
    assert len(halves) == len(large_ones(converted)) == len(readers) > 1
    assert {node.op_type for node in readers} == {"Cast"}
    assert all(node.attribute[0].i == onnx.TensorProto.FLOAT for node in readers)


def test_the_given_model_is_left_as_it_was(model):
    before = model.SerializeToString()
    store_weights_as_fp16(model)
    assert model.SerializeToString() == before


@pytest.mark.parametrize("value", [1e5, np.nan])
def test_a_weight_that_fp16_cannot_hold_is_refused(model, value):
    tensor = large_ones(model)[0]
    values = numpy_helper.to_array(tensor).copy()
    values.flat[0] = value
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    with pytest.raises(EngineError, match="65504"):
        store_weights_as_fp16(model)


def test_stored_weights_are_read_back_in_fp32(converted, images):
    stored = store_weights_as_fp16(converted)
    before = stored.SerializeToString()
    read = with_fp32_weights(stored)
    assert [node.op_type for node in read.graph.node].count("Cast") == 1, "that of the pixels"
    assert onnx.TensorProto.FLOAT16 not in {t.data_type for t in read.graph.initializer}
    np.testing.assert_array_equal(
        *(openvino_probabilities(content, images) for content in (before, read.SerializeToString()))
    )
    assert stored.SerializeToString() == before
