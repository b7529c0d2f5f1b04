"""hambatch: batch scoring of dermatoscopic images, one row for every image."""

from hambatch.system.search_path import leave_out_folder_of_module

leave_out_folder_of_module()  # before the imports that follow

from typing import TYPE_CHECKING, Any  # noqa: E402

from hambatch.engines.classes import CLASSES, MALIGNANT  # noqa: E402
from hambatch.errors import (  # noqa: E402
    BackendError,
    EngineError,
    HambatchError,
    InputError,
    MissingDependency,
)
from hambatch.system.inherited import without_telemetry  # noqa: E402

if TYPE_CHECKING:
    from hambatch.api import Row, Scorer, read_table, score

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
    "Row",
    "Scorer",
    "read_table",
    "score",
]


if not TYPE_CHECKING:  # a checker would take every name for one of ours

    def __getattr__(name: str) -> Any:
        """Import what scores when it is first used, so that ``import hambatch`` is instant."""
        if name not in ("Row", "Scorer", "read_table", "score"):
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from hambatch import api

        globals()[name] = found = getattr(api, name)
        return found


def __dir__() -> list[str]:
    """Name what is imported later, too."""
    return sorted({*globals(), *__all__})
