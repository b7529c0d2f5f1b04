"""A stand-in for TensorRT: a "plan" that gives each image's mean in every value, at once.

TensorRT's runtime ends the process where there is no GPU. Names are compared with TensorRT's
own by ``test_names_used.py``, types by mypy; here is what its calls return when they refuse.
"""

import enum
from types import ModuleType
from typing import Any

import numpy as np

from tests.backends.tensorrt.host_engine import view

SCRATCH_PER_IMAGE = 1000


class ILogger:
    ERROR, INTERNAL_ERROR, WARNING = "error", "internal error", "warning"


class TensorIOMode(enum.Enum):
    INPUT = 1
    OUTPUT = 2


class DataType(enum.Enum):
    UINT8 = 1
    FLOAT = 2


class Context:
    """Refuses what is named in ``refused``."""

    def __init__(self, plan: "Plan") -> None:
        self._plan = plan
        self._addresses: dict[str, int] = {}

    def set_input_shape(self, name: str, shape: Any) -> bool:
        self._shape = tuple(shape)
        return "shape" not in self._plan.refused

    def update_device_memory_size_for_shapes(self) -> int:
        return SCRATCH_PER_IMAGE * self._shape[0]

    def set_device_memory(self, memory: int, size: int) -> None:
        assert size == SCRATCH_PER_IMAGE * self._shape[0]

    def set_tensor_address(self, name: str, memory: int) -> bool:
        self._addresses[name] = memory
        return "address" not in self._plan.refused

    def execute_async_v3(self, stream_handle: int) -> bool:
        assert stream_handle, "work on the default stream"
        if "execute" in self._plan.refused:
            return False
        means = view(self._addresses["images"], self._shape, np.uint8).mean((1, 2, 3))
        for name, width in self._plan.widths.items():
            view(self._addresses[name], (len(means), width), np.float32)[:] = means[:, None]
        return True


class Plan:
    """A deserialised plan, of 1 to 64 images, as it should be."""

    num_io_tensors = 3

    def __init__(self) -> None:
        self.refused: set[str] = set()
        self.widths = {"logits": 7, "features": 2048}

    def get_tensor_name(self, index: int) -> str:
        return ["images", *self.widths][index]

    def get_tensor_mode(self, name: str) -> TensorIOMode:
        return TensorIOMode.INPUT if name == "images" else TensorIOMode.OUTPUT

    def get_tensor_dtype(self, name: str) -> DataType:
        return DataType.UINT8 if name == "images" else DataType.FLOAT

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return (-1, 224, 224, 3) if name == "images" else (-1, self.widths[name])

    def get_tensor_profile_shape(self, name: str, index: int) -> list[tuple[int, ...]]:
        assert (name, index) == ("images", 0)
        return [(n, 224, 224, 3) for n in (1, 64, 64)]

    def create_execution_context(self, strategy: str) -> Context | None:
        assert strategy == "user managed"
        return None if "context" in self.refused else Context(self)


def stand_in() -> Any:
    """Give a module ``tensorrt``: ``says`` is logged, ``plan`` is what b"plan" becomes."""
    module: Any = ModuleType("tensorrt")
    module.says, module.plan = [], Plan()

    class Runtime:
        def __init__(self, logger: Any) -> None:
            self._logger = logger

        def deserialize_cuda_engine(self, content: bytes) -> Plan | None:
            for severity, line in module.says:
                self._logger.log(severity, line)
            plan: Plan | None = module.plan if content == b"plan" else None
            return plan

    module.ILogger, module.Runtime = ILogger, Runtime
    module.TensorIOMode, module.DataType, module.Dims = TensorIOMode, DataType, tuple
    module.ExecutionContextAllocationStrategy = type("S", (), {"USER_MANAGED": "user managed"})
    return module
