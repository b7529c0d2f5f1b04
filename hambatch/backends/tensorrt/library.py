"""TensorRT and the GPU that plans are built on: both are checked before anything is created.

Without a usable GPU a ``Runtime`` of TensorRT 11 crashes the process later, and there is no
``Builder``. So the driver is queried first.
"""

from dataclasses import dataclass
from typing import Any

from hambatch.errors import BackendError
from hambatch.system.gpus import Gpu, usable_gpu
from hambatch.system.packages import OLDEST, require


@dataclass(frozen=True)
class Target:
    """What a plan is built with and for: the module, its version, the GPU and its driver.

    ``cuda`` is the newest that the driver runs: its version may be unknown.

    ``times_kernels``: whether kernels are chosen by timing them on the GPU, so that there is a
    timing cache. TensorRT-RTX chooses them elsewhere.
    """

    trt: Any
    tensorrt: str
    gpu: Gpu
    driver: str
    cuda: int
    times_kernels: bool = True

    @property
    def capability(self) -> str:
        """Compute capability of the GPU, such as ``9.0``."""
        return ".".join(map(str, self.gpu.capability))


def find_target(ordinal: int) -> Target:
    """Query the driver, then import TensorRT.

    Raises BackendError if no GPU of that number can be used, or TensorRT is too old or broken;
    MissingDependency if it is not installed.
    """
    gpu, probe = usable_gpu(ordinal)
    trt = tensorrt_module()
    return Target(trt, trt.__version__, gpu, probe.driver, probe.cuda)


def tensorrt_module() -> Any:
    """Import TensorRT; nothing is created.

    Raises BackendError if it is older than :data:`hambatch.system.packages.OLDEST`, or does not
    load; MissingDependency if it is not installed.
    """
    try:
        trt = require("tensorrt", extra="gpu", purpose="hambatch build")
    except (ImportError, OSError) as error:
        # Its bindings without its libraries, or libraries that lack others.
        raise BackendError(
            f"TensorRT is installed but does not load: {error}.\nNext: hambatch doctor"
        ) from error
    refuse_old(trt.__version__)
    return trt


def refuse_old(version: str) -> None:
    """Raise BackendError unless TensorRT is new enough."""
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if numbers < OLDEST:
        wanted = ".".join(map(str, OLDEST))
        raise BackendError(
            f"TensorRT {version} is installed, wanted {wanted} or later: with older ones the "
            "precision of a plan is not the graph's.\nNext: pip install 'hambatch[gpu]'"
        )
