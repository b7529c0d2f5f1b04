"""A small residual network, and one INT8 graph made of it."""

import onnx
import pytest

from hambatch.training.export.int8.export import quantise
from tests.training.export.int8.residual_graph import OPTIONS, images_of_blocks, residual_model


@pytest.fixture(scope="session")
def residual():
    return residual_model()


@pytest.fixture(scope="session")
def calibration():
    return images_of_blocks(8, 0)


@pytest.fixture(scope="session")
def others():
    """Images that the graph was not made with."""
    return images_of_blocks(16, 1)


@pytest.fixture(scope="session")
def made(residual, calibration):
    """Bytes of the INT8 graph, and the names that were reported."""
    lines = []
    content = quantise(residual.SerializeToString(), calibration, OPTIONS, lines.append)
    return content, [line.split()[0] for line in lines]


@pytest.fixture
def int8_graph(made):
    return onnx.ModelProto.FromString(made[0]).graph


@pytest.fixture
def copied(residual):
    """Copy the FP32 model, to change it."""
    return onnx.ModelProto.FromString(residual.SerializeToString())
