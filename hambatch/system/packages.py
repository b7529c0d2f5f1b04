"""Packages: which are installed in which version, and how to install a missing one."""

import importlib
import platform
from collections.abc import Sequence
from contextlib import suppress
from types import ModuleType

from hambatch.errors import MissingDependency


def require(module: str, *, extra: str, purpose: str) -> ModuleType:
    """Import ``module``, or say what needs it and how to install it.

    ``extra`` of hambatch brings it (``""``: the base install); ``purpose`` starts the sentence:
    ``"hambatch train"``. Raises MissingDependency if its top-level package is not installed; one
    that is installed but broken raises its own error.
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


def import_early(modules: Sequence[str]) -> None:
    """Import what is needed soon; what fails fails again, and is said, where it is needed."""
    with suppress(Exception):
        for name in modules:
            importlib.import_module(name)


OLDEST = (11, 4)
"""The oldest TensorRT that is used: every name was compared with its bindings, and it is the
bound of the extra ``gpu``. From 11 on every network is strongly typed: its precision is what the
ONNX says. With 10 and before ``create_network(0)`` makes a weakly typed network, which TensorRT
may compute in other precisions."""

BINDINGS = ("tensorrt-cu12-bindings", "tensorrt-cu13-bindings")
"""What brings the module, for CUDA 12 or 13; all other packages depend on one of them."""

DISTRIBUTIONS = ("tensorrt", "tensorrt-cu12", "tensorrt-cu13", *BINDINGS)
"""All names, those that bring the libraries first."""

LIBRARIES = (
    "hambatch",
    "numpy",
    "pillow",
    "pillow-heif",
    "nvidia-dali-cuda120",
    "pydicom",
    "pylibjpeg-openjpeg",
    "pyjpegls",
    "python-gdcm",
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
    from importlib.metadata import PackageNotFoundError, version

    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
