"""What is asked of a compiled plan; TensorRT lies behind it, and its names are kept."""

from typing import Protocol


class ExecutionContext(Protocol):
    """The state of one execution of a plan: one a stream, one request at a time."""

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> None:
        """Say how large an input is.

        Raises
        ------
        BackendError
            If the plan was not built for that shape.
        """
        ...

    def update_device_memory_size_for_shapes(self) -> int:
        """Tell how many bytes of scratch memory the input shapes need."""
        ...

    def set_device_memory(self, memory: int, size: int) -> None:
        """Hand over the scratch memory, for as long as the context is used."""
        ...

    def set_tensor_address(self, name: str, memory: int) -> None:
        """Say where an input or an output lies on the device."""
        ...

    def execute_async_v3(self, stream_handle: int) -> None:
        """Queue one execution.

        Raises
        ------
        BackendError
            If it could not be queued.
        """
        ...

    def close(self) -> None:
        """Give back what the context holds; nothing of it may be running."""
        ...
