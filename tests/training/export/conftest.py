"""One small network, built and converted once, for every test of the export but the conversion."""

from typing import Any

import numpy as np
import pytest

from hambatch.backends.keras_network import keras_for
from hambatch.training.export.keras_to_onnx import to_onnx
from tests.training.export.keras_networks import (
    colourful_images,
    load_small_networks,
    small_base,
    varied,
)

HIDDEN_UNITS = 64


@pytest.fixture(scope="session")
def images() -> np.ndarray:
    return colourful_images()


@pytest.fixture(scope="session")
def network(images: np.ndarray) -> Any:
    # Else drawn anew each time, and of some draws two answers of an image are so near each other
    # that FP16 weights turn them round.
    keras_for("this test").utils.set_random_seed(0)
    return varied(small_base(), images, HIDDEN_UNITS)


@pytest.fixture(scope="session")
def converted(network: Any) -> Any:
    """Convert once, with FP32 weights; a test that changes it takes the ``model`` copy."""
    return to_onnx(network)


@pytest.fixture
def model(converted: Any) -> Any:
    """Copy the converted model, to change it."""
    copy = type(converted)()
    copy.CopyFrom(converted)
    return copy


@pytest.fixture
def bases_built(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, str]]:
    """Let ``load_network`` build the small network; side and ``stride_in`` of each."""
    return load_small_networks(monkeypatch)
