"""hambatch: batch scoring of dermatoscopic images, one row for every image."""

from hambatch.engines.classes import CLASSES, MALIGNANT
from hambatch.errors import BackendError, EngineError, HambatchError, InputError, MissingDependency
from hambatch.system.inherited import without_telemetry

without_telemetry()

__version__ = "0.1.0"

__all__ = [
    "CLASSES",
    "MALIGNANT",
    "BackendError",
    "EngineError",
    "HambatchError",
    "InputError",
    "MissingDependency",
]
