"""The small networks of the export's tests: what a backend is to run."""

from tests.training.export.conftest import converted, images, network, sides_loaded
from tests.training.export.int8.conftest import calibration, made, others, residual

__all__ = [
    "calibration",
    "converted",
    "images",
    "made",
    "network",
    "others",
    "residual",
    "sides_loaded",
]
