"""The real thing, for tests that are marked ``gpu``; without one they say what is missing."""

import ctypes
from pathlib import Path

import pytest

from hambatch.backends import Backend, load_backend
from hambatch.backends.tensorrt.device import Device
from hambatch.engines.loading import load_engine


def real_device() -> Device:
    """Open the first GPU, or skip."""
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        pytest.skip("needs an NVIDIA GPU: libcuda.so.1 cannot be loaded")
    pytest.importorskip("pycuda", reason="needs PyCUDA")
    from hambatch.backends.tensorrt.pycuda_device import PyCudaDevice

    return PyCudaDevice(0)


def real_backend(engine: Path, precision: str = "fp32", slots: int = 2) -> Backend:
    """Load an engine on the first GPU, or skip."""
    real_device().close()
    pytest.importorskip("tensorrt", reason="needs TensorRT")
    return load_backend("tensorrt", load_engine(engine), precision, slots)
