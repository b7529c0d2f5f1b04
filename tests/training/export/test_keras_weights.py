import numpy as np
import pytest

from hambatch.backends.keras_network import load_network, save_network
from hambatch.errors import EngineError
from hambatch.training.export.parity import keras_probabilities

# Keras 3.15 on NumPy 2.4, in ``save_weights``.
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
)


@pytest.fixture(scope="module")
def folder(network, tmp_path_factory):
    folder = tmp_path_factory.mktemp("engine")
    save_network(network, folder / "model.weights.h5")
    return folder


def test_a_saved_network_comes_back_the_same(folder, network, images):
    loaded = load_network(folder, hidden_units=16, dropout=0.5)
    assert [path.name for path in folder.iterdir()] == ["model.weights.h5"]
    np.testing.assert_array_equal(
        keras_probabilities(loaded, images), keras_probabilities(network, images)
    )


def test_missing_weights_name_the_file_and_the_next_command(tmp_path):
    with pytest.raises(EngineError, match=r"model\.weights\.h5 is missing(.|\n)*hambatch train"):
        load_network(tmp_path, 16, 0.5)


def test_weights_of_another_head_are_refused(folder):
    with pytest.raises(EngineError, match="head of 8 hidden units"):
        load_network(folder, 8, 0.5)


def test_a_file_that_is_no_hdf5_is_refused(tmp_path):
    path = tmp_path / "model.weights.h5"
    path.write_bytes(b"no weights")
    with pytest.raises(EngineError, match="does not hold the weights"):
        load_network(path, 16, 0.5)
