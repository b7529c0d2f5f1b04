"""The backend that explains is one like the others, and its maps depend on one image alone."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from hambatch.backends import MAPS, Backend, load_backend
from hambatch.engines.loading import Engine, load_engine
from hambatch.errors import EngineError
from hambatch.score.worker.protocol import Answer
from hambatch.types import Explained
from tests.backends.contract import BackendContract, batch_of, scores
from tests.explanation.made_engine import FORMS, make_engine


@pytest.fixture(scope="module")
def engine(headed_engine: Path) -> Engine:
    return load_engine(headed_engine)


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
    with pytest.raises(EngineError, match="fp32 graph, asked for int8"):
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
