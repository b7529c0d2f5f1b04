"""Which library a backend computes with: another version may round otherwise."""

from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version

from hambatch.backends.openvino_unsigned import FORM
from hambatch.engines.choice import INT8

DISTRIBUTIONS = {"tensorrt": "tensorrt-cu12-bindings"}
"""Where the package that says the version is not called as the library is."""


def runtime_of(backend: str) -> str:
    """Name library and version, and the form in which INT8 graphs run.

    Parameters
    ----------
    backend
        As the table names it, such as ``openvino-int8`` or ``tensorrt-fp16-b32``.
    """
    library, precision, *_ = [*backend.split("-"), ""]
    found = library
    with suppress(PackageNotFoundError):
        found = f"{library} {version(DISTRIBUTIONS.get(library, library))}" if library else ""
    return f"{found}, {FORM}" if (library, precision) == ("openvino", INT8) else found
