"""Which library a backend computes with: another version may round otherwise."""

from importlib.metadata import PackageNotFoundError, version

from hambatch.backends.openvino_unsigned import FORM
from hambatch.engines.choice import INT8
from hambatch.gpu.tensorrt_release import BINDINGS

DISTRIBUTIONS = {"tensorrt": BINDINGS}
"""Where the package that says the version is not called as the library is: one of these."""


def runtime_of(backend: str) -> str:
    """Name library and version, and the form in which INT8 graphs run.

    Parameters
    ----------
    backend
        As the table names it, such as ``openvino-int8`` or ``tensorrt-fp16-b32``.
    """
    library, precision, *_ = [*backend.split("-"), ""]
    found = f"{library} {_version(library)}".strip() if library else ""
    return f"{found}, {FORM}" if (library, precision) == ("openvino", INT8) else found


def _version(library: str) -> str:
    """Give the version of what is installed of it; empty if nothing is."""
    for name in DISTRIBUTIONS.get(library, (library,)):
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return ""
