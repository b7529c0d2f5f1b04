"""The small networks of the export's tests: what a backend is to run."""

from tests.training.export.conftest import bases_built, converted, images, network
from tests.training.export.int8.conftest import calibration, made, others, residual

__all__ = [
    "bases_built",
    "calibration",
    "converted",
    "images",
    "made",
    "network",
    "others",
    "residual",
]
