"""The Keras reference keeps the same contract, and OpenVINO agrees with it."""

from pathlib import Path

import numpy as np
import pytest

from hambatch.backends import Backend, load_backend
from hambatch.engines.loading import load_engine
from hambatch.engines.manifest import Manifest
from hambatch.engines.writing import write_manifest
from hambatch.errors import EngineError
from hambatch.export.graph import export_graph
from hambatch.export.keras_weights import save_network
from hambatch.probabilities import softmax
from hambatch.training import network
from tests.backends.contract import BackendContract, pictures, scores

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An engine folder with Keras weights (untrained) and the graph exported from them."""
    folder = tmp_path_factory.mktemp("trained")
    # Untrained weights are drawn anew each time, and some draws saturate beyond FP16's parity.
    network.keras_for("this test").utils.set_random_seed(0)
    whole = network.join(network.build_base(None), network.build_head(16, 0.5, seed=1))
    save_network(whole, folder / "model.weights.h5")
    variant = export_graph(whole, folder, pictures(8))
    recipe = {"hidden_units": 16, "dropout": 0.5}
    write_manifest(folder, Manifest("t", "1", files={}, variants=(variant,), training=recipe))
    return folder


@pytest.fixture(scope="module")
def backend(trained: Path) -> Backend:
    return load_backend("keras", load_engine(trained), "fp32", 1)


class TestKeras(BackendContract):
    """The contract, on a network built and saved here."""


def test_openvino_agrees_with_the_reference(trained: Path, backend: Backend) -> None:
    images = pictures(6, seed=3)
    by_openvino = scores(load_backend("openvino", load_engine(trained), "fp32", 2), images)
    wanted = softmax(scores(backend, images))
    np.testing.assert_allclose(softmax(by_openvino), wanted, atol=2e-3)


def test_an_engine_without_keras_weights_is_refused(tiny_engine: Path) -> None:
    with pytest.raises(EngineError, match=r"model\.weights\.h5.*only a training run"):
        load_backend("keras", load_engine(tiny_engine), "fp32", 1)
