"""hambatch: batch scoring of dermatoscopic images, one row for every image."""

from hambatch.errors import (
    BackendError,
    EngineError,
    HambatchError,
    InputError,
    MissingDependency,
)
from hambatch.labels import CLASSES, MALIGNANT

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
