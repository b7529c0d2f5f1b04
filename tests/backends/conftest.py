"""The small INT8 graph of the export's tests: what a backend is to run."""

from tests.training.export.int8.conftest import calibration, made, others, residual

__all__ = ["calibration", "made", "others", "residual"]
