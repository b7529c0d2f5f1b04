"""The head is recognised in every form that ONNX has for it, and in no other."""

from pathlib import Path

import numpy as np
import openvino
import pytest

from hambatch.backends.openvino_maps import find_head, load
from hambatch.engines.loading import load_engine
from hambatch.errors import EngineError
from tests.explanation.made_engine import FORMS, OTHER_FORMS, weights_of, write_graph


def read(path: Path) -> object:
    model = openvino.Core().read_model(path)
    model.reshape([4, 224, 224, 3])
    return model


@pytest.mark.parametrize("form", FORMS)
def test_weights_and_feature_map_are_found(form: str, tmp_path: Path) -> None:
    write_graph(tmp_path / "model.onnx", form)
    head, feature_map, channel_axis = find_head(read(tmp_path / "model.onnx"), "model.onnx")
    wanted = weights_of()
    if form == "exported":
        wanted["w1"] = wanted["w1"].astype(np.float16)
    for name in ("w1", "b1", "w2", "b2"):
        np.testing.assert_array_equal(getattr(head, name), wanted[name].astype(np.float64))
    shape = [4, 7, 7]
    shape.insert(channel_axis, 2048)
    assert feature_map.get_shape() == openvino.Shape(shape)


@pytest.mark.parametrize(("form", "says"), OTHER_FORMS.items())
def test_another_head_is_refused_by_what_it_has(form: str, says: str, tmp_path: Path) -> None:
    write_graph(tmp_path / "model.onnx", form)
    with pytest.raises(EngineError, match=says) as refused:
        find_head(read(tmp_path / "model.onnx"), "model.onnx")
    assert "model.onnx cannot be explained: its head has" in str(refused.value)
    assert "wanted global average pooling, Dense, ReLU, Dense.\nNext: " in str(refused.value)


def test_an_engine_with_another_head_is_refused(tiny_engine: Path) -> None:
    with pytest.raises(EngineError, match=r"tiny/model\.onnx cannot be explained"):
        load(load_engine(tiny_engine), "fp32", 1)
