"""The Keras reference keeps the same contract, and OpenVINO agrees with it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hambatch.backends import Backend, load_backend
from hambatch.backends.double_check import Chooser
from hambatch.backends.keras_network import save_network
from hambatch.engines.loading import load_engine, write_manifest
from hambatch.engines.manifest import Manifest, Variant
from hambatch.engines.probabilities import softmax
from hambatch.errors import EngineError
from hambatch.training.export.onnx_graph import store_weights_as_fp16
from tests.backends.contract import BackendContract, batch_of, pictures, scores
from tests.training.export.conftest import HIDDEN_UNITS
from tests.training.export.keras_networks import load_small_networks


@pytest.fixture(scope="module")
def trained(network: Any, converted: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An engine folder with Keras weights and the graph that was converted from them."""
    folder = tmp_path_factory.mktemp("trained")
    save_network(network, folder / "model.weights.h5")
    model = store_weights_as_fp16(converted).SerializeToString(deterministic=True)
    (folder / "model.onnx").write_bytes(model)
    variants = (Variant("fp32", "model.onnx"),)
    recipe = {"hidden_units": HIDDEN_UNITS, "dropout": 0.5, "stride_in": "3x3"}
    write_manifest(folder, Manifest("t", "1", files={}, variants=variants, training=recipe))
    return folder


@pytest.fixture(scope="module")
def backend(trained: Path) -> Backend:
    with pytest.MonkeyPatch.context() as patch:
        built = load_small_networks(patch)
        loaded = load_backend("keras", load_engine(trained), "fp32", 1)
    assert built == [(224, "3x3")]
    return loaded


class TestKeras(BackendContract):
    """The contract, on a network built and saved here."""


def test_openvino_agrees_with_the_reference(trained: Path, backend: Backend) -> None:
    images = pictures(6, seed=3)
    by_openvino = scores(load_backend("openvino", load_engine(trained), "fp32", 2), images)
    wanted = softmax(scores(backend, images))
    np.testing.assert_allclose(softmax(by_openvino), wanted, atol=2e-3)


def test_images_are_computed_twice(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend, "_chooser", Chooser(100))
    (scored,) = backend.predict([batch_of(pictures(3))])
    assert (scored.twice.requests, scored.twice.images, scored.twice.differing) == (3, 3, ())


def test_an_engine_without_keras_weights_is_refused(tiny_engine: Path) -> None:
    with pytest.raises(EngineError, match=r"model\.weights\.h5.*only a training run"):
        load_backend("keras", load_engine(tiny_engine), "fp32", 1)
