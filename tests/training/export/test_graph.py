import numpy as np
import pytest
from onnx import numpy_helper

from hambatch.errors import EngineError
from hambatch.training.export import export as graph
from hambatch.training.export.export import export_graph
from hambatch.training.export.parity import check_parity


@pytest.fixture
def prepared(model, monkeypatch):
    """``export_graph`` uses the model that is already converted."""
    monkeypatch.setattr(graph, "to_onnx", lambda network: model)
    return model


@pytest.mark.usefixtures("prepared")
def test_both_parity_results_are_recorded(network, images, tmp_path):
    variant = export_graph(network, tmp_path, images)
    assert (variant.precision, variant.file) == ("fp32", "model.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]
    assert variant.parity["images"] == 16
    assert (
        variant.parity["fp32"]["max_difference"] < variant.parity["fp16_stored"]["max_difference"]
    )
    assert {"keras", "openvino"} <= variant.parity["versions"].keys()
    again = check_parity(network, tmp_path / "model.onnx", images)
    assert again["max_difference"] == pytest.approx(
        variant.parity["fp16_stored"]["max_difference"], abs=1e-6
    )


def test_a_graph_with_an_altered_weight_is_refused_and_the_old_one_stays(
    prepared, network, images, tmp_path
):
    (tmp_path / "model.onnx").write_bytes(b"old")
    (kernel,) = (t for t in prepared.graph.initializer if list(t.dims) == [64, 3, 7, 7])
    values = numpy_helper.to_array(kernel) * np.float32(1.05)
    kernel.CopyFrom(numpy_helper.from_array(values, kernel.name))
    with pytest.raises(EngineError, match=r"FP32 graph does not compute what Keras computes"):
        export_graph(network, tmp_path, images)
    assert (tmp_path / "model.onnx").read_bytes() == b"old"


@pytest.mark.usefixtures("prepared")
def test_too_few_images_are_refused(network, images, tmp_path):
    with pytest.raises(EngineError, match="7 given, wanted at least 8"):
        export_graph(network, tmp_path, images[:7])
