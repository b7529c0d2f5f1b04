from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hambatch.backends.keras_network import keras_for, load_network, save_network
from hambatch.errors import EngineError
from hambatch.training.export.export import keras_probabilities
from tests.training.export.conftest import HIDDEN_UNITS


@pytest.fixture(scope="module")
def folder(network: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("engine")
    save_network(network, folder / "model.weights.h5")
    return folder


def test_a_saved_network_comes_back_the_same(
    folder: Path, network: Any, images: np.ndarray, bases_built: list[tuple[int, str]]
) -> None:
    loaded = load_network(folder, HIDDEN_UNITS, dropout=0.5)
    assert bases_built == [(224, "1x1")]
    assert [path.name for path in folder.iterdir()] == ["model.weights.h5"]
    np.testing.assert_array_equal(
        keras_probabilities(loaded, images), keras_probabilities(network, images)
    )


def test_missing_weights_name_the_file_and_the_next_command(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"model\.weights\.h5 is missing(.|\n)*hambatch train"):
        load_network(tmp_path, HIDDEN_UNITS, 0.5)


@pytest.mark.usefixtures("bases_built")
def test_weights_of_another_head_are_refused(folder: Path) -> None:
    with pytest.raises(EngineError, match="head of 8 hidden units"):
        load_network(folder, 8, 0.5)


@pytest.mark.usefixtures("bases_built")
def test_a_file_that_is_no_hdf5_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.weights.h5"
    path.write_bytes(b"no weights")
    with pytest.raises(EngineError, match="does not hold the weights"):
        load_network(path, HIDDEN_UNITS, 0.5)


@pytest.mark.parametrize("form", ["external link", "external dataset", "virtual dataset"])
@pytest.mark.usefixtures("bases_built")
def test_weights_that_lie_in_another_file_are_refused(tmp_path: Path, form: str) -> None:
    import h5py

    path = tmp_path / "model.weights.h5"
    with h5py.File(path, "w") as file:
        if form == "external link":
            file["layers"] = h5py.ExternalLink("other.h5", "/")
        elif form == "external dataset":
            file.create_dataset("w", (1,), "f4", external=[("other.bin", 0, 4)])
        else:
            layout = h5py.VirtualLayout((1,), "f4")
            layout[:] = h5py.VirtualSource("other.h5", "w", (1,))
            file.create_virtual_dataset("w", layout)
    with pytest.raises(EngineError, match="wanted values in the file itself"):
        load_network(path, HIDDEN_UNITS, 0.5)


def test_the_settings_of_other_programs_do_not_count() -> None:
    """Keras takes them from ``~/.keras/keras.json`` when it is imported."""
    config = keras_for("a test").config
    config.set_floatx("float16")
    config.set_image_data_format("channels_first")
    config = keras_for("a test").config
    assert (config.floatx(), config.image_data_format()) == ("float32", "channels_last")
