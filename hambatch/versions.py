"""Versions of the libraries that shape a result, as the record of a run names them."""

import platform
from importlib.metadata import PackageNotFoundError, version

from hambatch.gpu.tensorrt_release import BINDINGS

LIBRARIES = (
    "hambatch",
    "numpy",
    "pillow",
    "nvidia-dali-cuda120",
    "openvino",
    *BINDINGS,
    "pycuda",
    "keras",
    "tensorflow",
    "tensorflow-cpu",
    "tf2onnx",
    "onnx",
)


def library_versions() -> dict[str, str]:
    """Name the version of Python and of each library that is installed; nothing is imported."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
