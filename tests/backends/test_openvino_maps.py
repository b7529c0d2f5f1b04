"""The backend that explains: its contract, its maps, and the heads that it takes."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import openvino
import pytest

from hambatch.backends import MAPS, Backend, load_backend
from hambatch.backends.openvino_maps import Head, evidence, find_head, grad_cam, load
from hambatch.engines.loading import Engine, load_engine
from hambatch.errors import EngineError
from hambatch.scoring.worker.protocol import Answer
from hambatch.types import Explained
from tests.backends.contract import BackendContract, batch_of, scores
from tests.explanation.made_engine import FORMS, OTHER_FORMS, make_engine, weights_of, write_graph


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return load_engine(make_engine(tmp_path_factory.mktemp("engines") / "headed"))


@pytest.fixture(scope="module")
def backend(engine: Engine) -> Iterator[Backend]:
    loaded = load_backend(MAPS, engine, "fp32", streams=2)
    yield loaded
    loaded.close()


class TestMapsBackend(BackendContract):
    pass


def maps_of(backend: Backend, images: np.ndarray) -> np.ndarray:
    (scored,) = backend.predict([batch_of(images)])
    np.testing.assert_array_equal(scored.explained.images, images)
    return scored.explained.maps


def blobs(count: int) -> np.ndarray:
    coarse = np.random.default_rng(3).integers(0, 256, (count, 7, 7, 3), np.uint8)
    return coarse.repeat(32, axis=1).repeat(32, axis=2)


def test_an_image_has_a_map_for_every_class(backend: Backend) -> None:
    maps = maps_of(backend, blobs(6))
    assert (maps.shape, maps.dtype) == ((6, 7, 7, 7), np.float32)
    assert maps.min() >= 0
    assert (maps > 0).mean() > 0.1
    assert maps_of(backend, blobs(6)[:0]).shape == (0, 7, 7, 7)


def test_a_map_depends_on_its_own_image_alone(backend: Backend) -> None:
    images = blobs(6)
    alone = np.concatenate([maps_of(backend, images[k : k + 1]) for k in range(6)])
    np.testing.assert_array_equal(maps_of(backend, images), alone)


def test_rows_of_a_map_are_rows_of_the_image(backend: Backend) -> None:
    # The base sees cells one by one, so a picture upside down has its maps upside down.
    images = blobs(3)
    upside_down = maps_of(backend, np.ascontiguousarray(images[:, ::-1]))
    np.testing.assert_allclose(upside_down, maps_of(backend, images)[:, :, ::-1], rtol=1e-4)


def test_scores_are_those_of_the_backend_without_maps(backend: Backend, engine: Engine) -> None:
    plain = load_backend("openvino", engine, "fp32", streams=1)
    images = blobs(9)
    found, wanted = scores(backend, images), scores(plain, images)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5 * np.abs(wanted).max())
    plain.close()


def test_every_form_of_the_head_gives_the_same_maps(backend: Backend, tmp_path: Path) -> None:
    images = blobs(3)
    wanted = maps_of(backend, images)
    for form in FORMS:
        engine = load_engine(make_engine(tmp_path / form, form))
        found = maps_of(load_backend(MAPS, engine, "fp32", streams=1), images)
        # The first one's weights are rounded to FP16.
        np.testing.assert_allclose(found, wanted, rtol=0, atol=3e-3 * wanted.max())


def test_only_the_fp32_graph_is_explained(engine: Engine) -> None:
    with pytest.raises(EngineError, match="fp32 graph, found int8"):
        load_backend(MAPS, engine, "int8", streams=1)


def test_an_answer_that_leaves_out_images_leaves_out_their_maps() -> None:
    images, maps = blobs(3), np.random.default_rng(0).random((3, 7, 7, 7), np.float32)
    logits, hashes = np.zeros((3, 7), np.float32), ["0" * 64] * 3
    given = Explained(images, maps)
    answer = Answer(np.arange(3), logits, ["dali-cpu"] * 3, hashes, [], explained=given)
    left = answer.without([1])
    assert left.indices.tolist() == [0, 2]
    np.testing.assert_array_equal(left.explained.maps, maps[[0, 2]])
    np.testing.assert_array_equal(left.explained.images, images[[0, 2]])


RNG = np.random.default_rng(0)
HEAD = Head(
    RNG.normal(0, 1, (12, 9)), RNG.normal(0, 1, 9), RNG.normal(0, 1, (9, 7)), RNG.normal(0, 1, 7)
)
FEATURE_MAP = RNG.gamma(1.0, 1.0, (5, 12, 4, 3)).astype(np.float32)
FEATURES = FEATURE_MAP.mean(axis=(2, 3), dtype=np.float64)


def logits_of(feature_map):
    """The head of any feature map, in float64."""
    hidden = feature_map.astype(np.float64).mean(axis=(2, 3)) @ HEAD.w1 + HEAD.b1
    return np.maximum(hidden, 0) @ HEAD.w2 + HEAD.b2


def test_some_hidden_units_are_off_in_the_example():
    active = FEATURES @ HEAD.w1 + HEAD.b1 > 0
    assert 0.2 < active.mean() < 0.8
    assert len(np.unique(active, axis=0)) > 1


def test_maps_are_the_gradient_by_finite_differences():
    expected, step = np.zeros((5, 7, 4, 3)), 1e-6
    for channel in range(12):
        gradient = np.zeros((5, 7))
        for row in range(4):
            for column in range(3):
                up, down = (FEATURE_MAP.astype(np.float64) for _ in range(2))
                up[:, channel, row, column] += step
                down[:, channel, row, column] -= step
                gradient += (logits_of(up) - logits_of(down)) / (2 * step)
        expected += (gradient / 12)[:, :, None, None] * FEATURE_MAP[:, None, channel]
    found = evidence(HEAD, FEATURE_MAP, FEATURES)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-7)


def test_all_cells_and_the_biases_of_active_layers_make_the_logit():
    active = FEATURES @ HEAD.w1 + HEAD.b1 > 0
    biases = (active * HEAD.b1) @ HEAD.w2 + HEAD.b2
    total = evidence(HEAD, FEATURE_MAP, FEATURES).sum(axis=(2, 3)) + biases
    np.testing.assert_allclose(total, logits_of(FEATURE_MAP), rtol=1e-6)


def test_what_speaks_against_a_class_is_cut_off():
    signed = evidence(HEAD, FEATURE_MAP, FEATURES)
    assert signed.min() < 0
    np.testing.assert_array_equal(grad_cam(HEAD, FEATURE_MAP, FEATURES), signed.clip(0))


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
