"""Packages: which are installed in which version, and how to install a missing one."""

import importlib
import platform
from importlib.metadata import PackageNotFoundError, version
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


OLDEST = (11, 4)
"""The version whose bindings every name that is used was compared with, and the bound of the
extra ``gpu``. From 11 on every network is strongly typed: its precision is what the ONNX says, and
``create_network(0)`` makes such a one. With 10 and before the same call makes a weakly typed
network, which TensorRT may compute in other precisions."""


BINDINGS = ("tensorrt-cu12-bindings", "tensorrt-cu13-bindings")
"""What brings the module, for CUDA 12 or 13; all other packages depend on one of them."""


DISTRIBUTIONS = ("tensorrt", "tensorrt-cu12", "tensorrt-cu13", *BINDINGS)
"""All names, those that bring the libraries first."""


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
