"""What the processor of this machine computes with."""

import platform
from pathlib import Path

# Inference libraries choose their kernels by these; other flags change no result.
EXTENSIONS = (
    "sse4_2 avx avx2 fma avx_vnni avx512f avx512_vnni avx512_bf16 avx512_fp16 "
    "amx_tile amx_int8 amx_bf16 asimd asimdhp asimddp bf16 i8mm sve sve2"
).split()

INT8_BEST = "amx_int8 avx512_vnni avx_vnni avx512f avx2 sse4_2 i8mm asimddp asimd".split()
"""In the order in which a library prefers them for INT8."""


def instruction_set(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Name the architecture and its extensions, such as ``x86_64 avx2 avx512f``.

    Where the system does not list extensions, the architecture alone.
    """
    found = _flags(cpuinfo)
    return " ".join([platform.machine() or "unknown", *(e for e in EXTENSIONS if e in found)])


def int8_kernels(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Name the extension whose kernels multiply INT8 here, such as ``x86_64 avx512_vnni``.

    Kernels of one extension give the same integers on every processor that has it.
    """
    found = _flags(cpuinfo)
    return " ".join([platform.machine() or "unknown", *[e for e in INT8_BEST if e in found][:1]])


def multiplies_bfloat16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Tell whether this processor has products of bfloat16, summed in float32."""
    return not {"avx512_bf16", "amx_bf16"}.isdisjoint(_flags(cpuinfo))


def _flags(cpuinfo: Path) -> set[str]:
    try:
        with cpuinfo.open(errors="replace") as lines:
            for line in lines:
                name, _, value = line.partition(":")
                # "flags" on x86, "Features" on Arm; the first core stands for all.
                if name.strip() in {"flags", "Features"}:
                    return set(value.split())
    except OSError:
        pass
    return set()
