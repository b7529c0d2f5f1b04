"""The INT8 graph that is compiled computes what the file says."""

from typing import Any

import numpy as np
import onnx
import openvino
import pytest

from hambatch.backends.openvino_graph import with_unsigned_activations
from hambatch.training.export.int8.running import logits_of
from tests.conftest import needs_bfloat16
from tests.training.export.int8.residual_graph import CONVOLUTIONS

SHAPE = [1, 224, 224, 3]


def read(content: bytes) -> Any:
    model = openvino.Core().read_model(content)
    model.reshape(SHAPE)
    return model


def kinds(model: Any) -> list[str]:
    return [node.get_type_name() for node in model.get_ops()]


def outputs_of(
    model: Any, images: np.ndarray, name: str = "logits", hint: str = "f32", streams: int = 1
) -> np.ndarray:
    how = {"INFERENCE_PRECISION_HINT": hint, "NUM_STREAMS": streams}
    compiled = openvino.Core().compile_model(model, "CPU", how)
    return np.concatenate([compiled(image[None])[name].copy() for image in images])


def test_every_quantised_convolution_is_rewritten_and_pads_itself(
    made: tuple[bytes, list[str]],
) -> None:
    model = read(made[0])
    assert "Pad" in kinds(model)
    assert with_unsigned_activations(model) == len(CONVOLUTIONS) - 1
    compiled = openvino.Core().compile_model(model, "CPU", {"NUM_STREAMS": 1})
    run = [
        node.get_rt_info()["layerType"].astype(str)
        for node in compiled.get_runtime_model().get_ops()
    ]
    assert "Pad" not in run


def test_scores_are_those_of_the_file(
    made: tuple[bytes, list[str]], residual: Any, others: np.ndarray
) -> None:
    model = read(made[0])
    assert with_unsigned_activations(model)
    wanted, found = logits_of(made[0], others), outputs_of(model, others)
    # A sum that is rounded otherwise may fall on the next code: a fraction of what INT8 costs.
    cost = np.sqrt(((wanted - logits_of(residual.SerializeToString(), others)) ** 2).mean())
    assert np.sqrt(((found - wanted) ** 2).mean()) < 0.1 * cost


@needs_bfloat16
@pytest.mark.parametrize("streams", [1, 2])
def test_in_bf16_they_are_nearly_those_of_the_file(
    made: tuple[bytes, list[str]], residual: Any, others: np.ndarray, streams: int
) -> None:
    """Strides in a padded 3x3 convolution too; some forms of graphs answer one class for all."""
    wanted = logits_of(made[0], others)
    model = read(made[0])
    assert with_unsigned_activations(model)
    found = outputs_of(model, others, hint="bf16", streams=streams)
    assert np.sqrt(((found - wanted) ** 2).mean()) < 0.2 * wanted.std(axis=0).mean()
    plain = read(residual.SerializeToString())
    wanted = logits_of(residual.SerializeToString(), others)
    found = outputs_of(plain, others, hint="bf16", streams=streams)
    assert np.sqrt(((found - wanted) ** 2).mean()) < 0.2 * wanted.std(axis=0).mean()


@pytest.mark.parametrize("name", ["conv_2", "conv_4"])
def test_one_convolution_gives_the_same_values_at_borders_too(
    made: tuple[bytes, list[str]], others: np.ndarray, name: str
) -> None:
    """All others stay as they are, so that both see the same input."""
    both = []
    for rewritten in (False, True):
        model = read(made[0])
        (one,) = [n for n in model.get_ops() if n.get_friendly_name().startswith(f"{name}/")]
        output = one.output(0).get_target_inputs()
        added = next(port.get_node() for port in output if port.get_node().get_type_name() == "Add")
        readers = list(added.output(0).get_target_inputs())
        if rewritten:
            assert with_unsigned_activations(model) == len(CONVOLUTIONS) - 1
        port = readers[0].get_source_output()
        model.add_outputs([port])
        compiled = openvino.Core().compile_model(
            model, "CPU", {"INFERENCE_PRECISION_HINT": "f32", "NUM_STREAMS": 1}
        )
        both.append(compiled(others[:1])[len(compiled.outputs) - 1].copy())
    assert both[0].shape == both[1].shape
    np.testing.assert_allclose(both[1], both[0], atol=1e-4 * np.abs(both[0]).max())


def test_a_graph_of_another_form_stays_as_it_is(residual: Any, others: np.ndarray) -> None:
    content = residual.SerializeToString()
    model = read(content)
    assert with_unsigned_activations(model) == 0
    np.testing.assert_array_equal(outputs_of(model, others[:2]), logits_of(content, others[:2]))


def test_other_scales_in_the_file_are_left_to_openvino(made: tuple[bytes, list[str]]) -> None:
    model = onnx.ModelProto.FromString(made[0])
    for tensor in model.graph.initializer:
        if tensor.name.endswith(".shift"):
            values = onnx.numpy_helper.to_array(tensor) * np.float32(0.5)
            tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    assert with_unsigned_activations(read(model.SerializeToString())) == 0
