"""A plan in memory, and the contexts that execute it."""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from hambatch.backends.tensorrt.slot import RequestForm
from hambatch.errors import BackendError, EngineError, OutOfMemory
from hambatch.system.packages import require

if TYPE_CHECKING:
    import tensorrt as trt


NEXT = "hambatch build --precision fp32 --rebuild, or run again with --backend openvino"

LINES_SHOWN = 4
"""Of what TensorRT logged last: its calls return None or False, and the log says why."""


def log_of(trt: Any) -> Any:
    """Make a logger of TensorRT that prints nothing and keeps what is wrong, in ``errors``.

    A line on stderr would be taken for one about a damaged image.
    """

    class Log(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: list[str] = []

        def log(self, severity: Any, msg: str) -> None:
            if severity in {trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR}:
                self.errors.append(msg.strip())

    return Log()


class LoadedPlan:
    """A plan that was deserialised on the current device.

    A plan is native code: ``content`` must come from the private cache, verified. Without
    a usable GPU TensorRT ends the process, so :mod:`hambatch.system.gpus` must find one first.
    Raises BackendError if TensorRT refuses the plan.
    """

    def __init__(self, content: bytes) -> None:
        require("tensorrt", extra="gpu", purpose="The tensorrt backend")
        import tensorrt as trt

        self._log = log_of(trt)
        self._runtime: trt.Runtime | None = trt.Runtime(self._log)
        # Plans built with --version-compatible bring a small runtime of their own.
        self._runtime.engine_host_code_allowed = True
        self._engine: trt.ICudaEngine | None = self._runtime.deserialize_cuda_engine(content)
        if self._engine is None:
            raise self._failure("it does not accept the plan")

    def check(self, form: RequestForm) -> None:
        """Raise EngineError unless the plan has the input and outputs that will be bound to it."""
        import tensorrt as trt

        wanted = {form.input: _tensor(trt.TensorIOMode.INPUT, trt.DataType.UINT8, form.image)}
        for name, width in form.widths.items():
            wanted[name] = _tensor(trt.TensorIOMode.OUTPUT, trt.DataType.FLOAT, (width,))
        found = self._tensors()
        if found != wanted:
            raise EngineError(
                f"the plan does not match its engine.json: it has {found}, wanted {wanted}.\n"
                f"Next: {NEXT}"
            )
        smallest, _, largest = self._used().get_tensor_profile_shape(form.input, 0)
        if not smallest[0] <= form.size <= largest[0]:
            raise EngineError(
                f"the plan takes {smallest[0]} to {largest[0]} images a request, "
                f"wanted {form.size}.\nNext: hambatch build --max-batch {form.size}"
            )

    def make_context(self) -> "PlanContext":
        """Make a context whose scratch memory the caller brings.

        Raises OutOfMemory if there is no memory left for what it needs besides.
        """
        import tensorrt as trt

        strategy = trt.ExecutionContextAllocationStrategy.USER_MANAGED
        context = self._used().create_execution_context(strategy)
        if context is None:
            raise self._failure("it makes no execution context")
        return PlanContext(context, self._failure)

    def close(self) -> None:
        """Let go of the plan; contexts that were made of it keep what they need."""
        self._engine = self._runtime = None

    def _used(self) -> "trt.ICudaEngine":
        if self._engine is None:
            raise BackendError("a plan was used after it was closed.\nNext: hambatch doctor")
        return self._engine

    def _tensors(self) -> dict[str, str]:
        engine, found = self._used(), {}
        for name in map(engine.get_tensor_name, range(engine.num_io_tensors)):
            mode, kind = engine.get_tensor_mode(name), engine.get_tensor_dtype(name)
            found[name] = _tensor(mode, kind, tuple(engine.get_tensor_shape(name))[1:])
        return found

    def _failure(self, what: str) -> BackendError:
        why = "; ".join(self._log.errors[-LINES_SHOWN:]) or "no reason given"
        self._log.errors.clear()
        kind = OutOfMemory if re.search("out ?of ?memory", why, re.IGNORECASE) else BackendError
        return kind(f"TensorRT failed: {what} ({why}).\nNext: {NEXT}")


class PlanContext:
    """TensorRT's execution context; what it refuses is an error, not False."""

    def __init__(
        self, context: "trt.IExecutionContext", failure: Callable[[str], BackendError]
    ) -> None:
        self._context = context
        self._failure = failure

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> None:
        """Set an input's shape."""
        import tensorrt as trt

        if not self._context.set_input_shape(name, trt.Dims(shape)):
            raise self._failure(f"it does not take {name} of shape {shape}")

    def update_device_memory_size_for_shapes(self) -> int:
        """Count the bytes of scratch memory that the input shapes need."""
        return self._context.update_device_memory_size_for_shapes()

    def set_device_memory(self, memory: int, size: int) -> None:
        """Hand over the scratch memory."""
        self._context.set_device_memory(memory, size)

    def set_tensor_address(self, name: str, memory: int) -> None:
        """Set where an input or an output lies."""
        if not self._context.set_tensor_address(name, memory):
            raise self._failure(f"it does not take the address of {name}")

    def execute_async_v3(self, stream_handle: int) -> None:
        """Queue one execution."""
        if not self._context.execute_async_v3(stream_handle):
            raise self._failure("it does not execute the plan")

    def close(self) -> None:
        """Let go of TensorRT's context."""
        del self._context


def _tensor(mode: "trt.TensorIOMode", kind: "trt.DataType", rest: tuple[int, ...]) -> str:
    """Describe a tensor behind its batch dimension, as ``INPUT UINT8 [?,224,224,3]``."""
    return f"{mode.name} {kind.name} [?,{','.join(map(str, rest))}]"
