"""What TensorRT says while it builds or runs a plan."""

from typing import Any


def log_of(trt: Any) -> Any:
    """Make a logger of TensorRT that prints nothing and keeps what is wrong, in ``errors``.

    A line on stderr would be taken for one about a damaged picture.
    """

    class Log(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: list[str] = []

        def log(self, severity: Any, msg: str) -> None:
            if severity in {trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR}:
                self.errors.append(msg.strip())

    return Log()
