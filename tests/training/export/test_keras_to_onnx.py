import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from hambatch.backends.keras_network import build_base, keras_for
from hambatch.backends.openvino_graph import openvino_probabilities
from hambatch.engines.probabilities import compare
from hambatch.training.export.export import keras_probabilities
from hambatch.training.export.keras_to_onnx import MEAN_RGB, to_onnx
from tests.training.export.keras_networks import colourful_images, varied


@pytest.fixture(scope="module")
def images():
    """Few: each passes through ResNet50 three times."""
    return colourful_images()[:7]


@pytest.fixture(scope="module")
def network(images):
    """ResNet50, the real one: its names, its paddings and all of its 53 convolutions."""
    # Else drawn anew each time, and of some draws two answers of an image are nearly equal.
    keras_for("this test").utils.set_random_seed(0)
    return varied(build_base(None), images, hidden_units=16)


@pytest.fixture(scope="module")
def converted(network):
    return to_onnx(network)


def shapes(values):
    return {
        v.name: [d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim] for v in values
    }


@pytest.fixture(scope="module")
def pictures(images):
    """The images, the first ones plain, and one more that is plain."""
    return np.concatenate([images, np.full((1, 224, 224, 3), (200, 30, 90), np.uint8)])


@pytest.fixture(scope="module")
def expected(network, pictures):
    """Keras' probabilities of them, computed once."""
    return keras_probabilities(network, pictures)


@pytest.fixture(scope="module")
def found(converted, pictures):
    return openvino_probabilities(converted.SerializeToString(), pictures)


def test_probabilities_are_those_of_keras(expected, found):
    assert np.ptp(expected, axis=0).max() > 0.05, "images that all score alike prove nothing"
    measured = compare(expected, found)
    assert measured["max_difference"] < 1e-5
    assert measured["label_flips"] == 0


def test_pixels_come_in_as_uint8_with_a_dynamic_batch(converted):
    (value,) = converted.graph.input
    assert value.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert shapes([value]) == {"images": ["batch", 224, 224, 3]}


def test_outputs_are_named_and_so_are_their_dimensions(converted):
    assert shapes(converted.graph.output) == {"logits": ["batch", 7], "features": ["batch", 2048]}


def test_cast_precedes_transpose_precedes_mean(converted):
    # TensorRT's parser refuses Transpose on uint8.
    first = [node.op_type for node in converted.graph.node[:4]]
    assert first == ["Cast", "Transpose", "Sub", "Conv"]
    assert converted.graph.node[0].input[0] == "images"


def test_normalisation_is_folded_into_convolutions(converted):
    kinds = [node.op_type for node in converted.graph.node]
    assert kinds.count("Conv") == 53
    assert kinds.count("Add") == 16 + 2, "one a residual connection, one a dense bias"
    assert not {"Mul", "BatchNormalization"} & set(kinds)


PLAIN = {(255, 255, 255): 0, (124, 117, 104): 2, (200, 30, 90): -1}
"""Where pictures of one colour are among all."""


@pytest.mark.parametrize("colour", PLAIN)
def test_padded_borders_and_channel_order_are_right(pictures, expected, found, colour):
    k = PLAIN[colour]
    assert (pictures[k] == colour).all()
    assert np.abs(expected[k] - found[k]).max() < 1e-5


def test_a_mean_folded_into_the_bias_would_be_noticed(model, pictures, expected):
    cast, transpose, subtract, conv = model.graph.node[:4]
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    kernel, bias = (tensors[name] for name in conv.input[1:])
    shift = (numpy_helper.to_array(kernel) * np.reshape(MEAN_RGB, (3, 1, 1))).sum((1, 2, 3))
    folded = (numpy_helper.to_array(bias) - shift).astype(np.float32)
    bias.CopyFrom(numpy_helper.from_array(folded, bias.name))
    conv.input[0] = transpose.output[0]
    model.graph.node.remove(subtract)
    assert cast.op_type == "Cast"
    white = PLAIN[255, 255, 255]
    wrong = openvino_probabilities(model.SerializeToString(), pictures[white : white + 1])
    assert np.abs(expected[white] - wrong).max() > 1e-4


def test_older_runtimes_can_read_it_and_it_names_no_machine(converted):
    assert converted.ir_version == 8
    assert [(o.domain, o.version) for o in converted.opset_import] == [("", 18)]
    assert converted.producer_name == "hambatch"
    content = converted.SerializeToString()
    assert not [
        word for word in (b"tf2onnx", b"inference_call", b"/", b"unk__") if word in names(converted)
    ], "names of the process that converted it"
    assert len(content) > 90e6


def names(model):
    parts = [*model.graph.node, *model.graph.initializer, *model.graph.input, model.graph]
    inner = [name for node in model.graph.node for name in [*node.input, *node.output]]
    return "\n".join([part.name + part.doc_string for part in parts] + inner).encode()
