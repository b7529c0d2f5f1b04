import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from hambatch.backends.openvino_graph import openvino_probabilities
from hambatch.engines.probabilities import compare
from hambatch.errors import EngineError
from hambatch.training.export.keras_to_onnx import MIN_ELEMENTS, store_weights_as_fp16


def test_the_file_is_half_as_large_and_the_answer_is_nearly_the_same(converted, images):
    stored = store_weights_as_fp16(converted)
    whole, half = converted.SerializeToString(), stored.SerializeToString()
    assert len(half) < 0.53 * len(whole)
    measured = compare(*(openvino_probabilities(content, images) for content in (whole, half)))
    assert 0 < measured["max_difference"] < 2e-3


def test_every_stored_weight_is_cast_once_and_computed_in_fp32(converted):
    stored = store_weights_as_fp16(converted)
    halves = [t for t in stored.graph.initializer if t.data_type == onnx.TensorProto.FLOAT16]
    large = [t for t in converted.graph.initializer if np.prod(t.dims) >= MIN_ELEMENTS]
    readers = [node for node in stored.graph.node if node.input[0] in {t.name for t in halves}]
    assert len(halves) == len(large) == len(readers) > 25
    assert {node.op_type for node in readers} == {"Cast"}
    assert all(node.attribute[0].i == onnx.TensorProto.FLOAT for node in readers)


def test_the_given_model_is_left_as_it_was(model):
    before = model.SerializeToString()
    store_weights_as_fp16(model)
    assert model.SerializeToString() == before


@pytest.mark.parametrize("value", [1e5, np.nan])
def test_a_weight_that_fp16_cannot_hold_is_refused(model, value):
    tensor = next(t for t in model.graph.initializer if np.prod(t.dims) >= MIN_ELEMENTS)
    values = numpy_helper.to_array(tensor).copy()
    values.flat[0] = value
    tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    with pytest.raises(EngineError, match="65504"):
        store_weights_as_fp16(model)
