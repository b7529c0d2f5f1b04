"""Backends and precisions by name, and the table's `backend`, such as `openvino-int8-bf16`."""

from typing import Literal, NamedTuple

from hambatch.system.packages import BINDINGS

AUTO, FP32, FP16, BF16, INT8 = "auto", "fp32", "fp16", "bf16", "int8"

INT8_BF16 = "int8-bf16"
"""The INT8 graph, whose other layers compute in BF16."""

Cheaper = Literal["int8", "bf16", "int8-bf16"]

FASTEST_FIRST: tuple[Cheaper, ...] = ("int8-bf16", "bf16", "int8")
"""Cheaper than FP32, each with a gate of its own.

On two cores with AVX512_BF16 they ran 2.90, 2.08 and 2.06 times as fast as FP32
(benchmarks/results/precisions.json); with AMX the first two are alike, and twice the third."""

BACKEND_OF_GATES = "openvino"
"""The one whose gates are measured; no gate was measured on a GPU yet."""

BACKEND_OF_GPU = "tensorrt"

OF_BACKEND = {
    BACKEND_OF_GATES: (FP32, BF16, INT8, INT8_BF16),
    BACKEND_OF_GPU: (FP32, FP16, INT8),
    "keras": (FP32,),
}
"""What each runs; FP16 is what a GPU makes of the FP32 graph."""

LIBRARIES = {
    "openvino": ("hambatch", "numpy", "pillow", "nvidia-dali-cuda120", "openvino"),
    "tensorrt": ("hambatch", "numpy", "pillow", "nvidia-dali-cuda120", *BINDINGS, "openvino"),
    "keras": ("hambatch", "numpy", "pillow", "nvidia-dali-cuda120", "keras", "tensorflow-cpu"),
}
"""What decodes and computes with a backend: another version may change a row. OpenVINO scores
the rest where GPUs fail."""

USED = (FP32, FP16, BF16, INT8, INT8_BF16)

WANTED = (AUTO, *USED)

DIGITS_AT_MOST = 6
"""Of a request's size: Python refuses to read numbers of thousands of digits."""


class BackendName(NamedTuple):
    """What the table's ``backend`` says.

    ``request_size`` is 0 unless a GPU's memory asked for smaller requests.
    """

    library: str
    precision: str = ""
    request_size: int = 0


def parse_backend(name: str) -> BackendName:
    """``openvino-int8-bf16``: ``int8-bf16``; ``tensorrt-fp16-b32``: ``fp16``, requests of 32."""
    library, _, rest = name.partition("-")
    precision, _, size = rest.rpartition("-b")
    if size.isascii() and size.isdigit() and len(size) <= DIGITS_AT_MOST:
        return BackendName(library, precision, int(size))
    return BackendName(library, rest)


def graph_precision(precision: str) -> str:
    """Name the graph that is run: FP16 and BF16 compute the FP32 graph, INT8-BF16 the INT8 one."""
    return {FP16: FP32, BF16: FP32, INT8_BF16: INT8}.get(precision, precision)


def cpu_precision(precision: str) -> str:
    """Name the precision in which the CPU continues a GPU's run: it has no FP16."""
    return INT8 if precision == INT8 else FP32


def in_bfloat16(precision: str) -> bool:
    """Tell whether it needs a processor that multiplies bfloat16."""
    return precision in (BF16, INT8_BF16)
