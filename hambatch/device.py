"""What the processor of this machine computes with."""

import platform
from pathlib import Path

# Inference libraries choose their kernels by these; other flags change no result.
EXTENSIONS = (
    "sse4_2 avx avx2 fma avx_vnni avx512f avx512_vnni avx512_bf16 avx512_fp16 "
    "amx_tile amx_int8 amx_bf16 asimd asimdhp asimddp bf16 i8mm sve sve2"
).split()


def instruction_set(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Name the architecture and its extensions, such as ``x86_64 avx2 avx512f``.

    Where the system does not list extensions, the architecture alone.
    """
    found = _flags(cpuinfo)
    return " ".join([platform.machine() or "unknown", *(e for e in EXTENSIONS if e in found)])


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
