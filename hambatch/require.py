"""Optional packages: imported where they are used, refused with the fix."""

import importlib
from types import ModuleType

from hambatch.errors import MissingDependency


def require(module: str, *, extra: str, purpose: str) -> ModuleType:
    """Import ``module``, or say what needs it and how to install it.

    Parameters
    ----------
    module
        Dotted module name, such as ``"keras"``.
    extra
        The extra of hambatch that brings it; ``""`` for the base install.
    purpose
        What needs it, as the start of a sentence: ``"hambatch train"``.

    Raises
    ------
    MissingDependency
        If the module's top-level package is not installed. A package that is
        installed but broken raises its own error.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        top = module.partition(".")[0]
        if error.name is None or error.name.partition(".")[0] != top:
            raise
        target = f"hambatch[{extra}]" if extra else "hambatch"
        raise MissingDependency(
            f"{purpose} needs the package {top!r}, which is not installed.\n"
            f"Next: pip install '{target}'"
        ) from None
