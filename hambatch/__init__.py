"""hambatch: batch scoring of dermatoscopic images, one row for every image."""

from hambatch.system.search_path import leave_out_folder_of_module

leave_out_folder_of_module()  # before the imports that follow

from hambatch.engines.classes import CLASSES, MALIGNANT  # noqa: E402
from hambatch.errors import (  # noqa: E402
    BackendError,
    EngineError,
    HambatchError,
    InputError,
    MissingDependency,
)
from hambatch.system.inherited import without_telemetry  # noqa: E402

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
