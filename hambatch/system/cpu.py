"""The processor: its cores, how a run shares them, and what it computes with."""

import math
import os
import platform
from functools import cache
from pathlib import Path
from typing import NamedTuple

from hambatch.system.cgroups import cpu_quota
from hambatch.system.text import plural


def available_cores() -> int:
    """Count the cores that this process may keep busy.

    These are the cores of its affinity mask, which taskset narrows, or fewer where a control
    group grants less time, as ``docker run --cpus`` does. A part of a core counts as one.
    """
    granted = _granted()
    return _visible_cores() if granted is None else math.ceil(granted)


def named_cores() -> str:
    """Say how many they are, such as ``2 cores``, and what a control group grants of more."""
    cores, granted = plural(available_cores(), "core"), _granted()
    return (
        cores if granted is None else f"{cores}, cgroup grants {granted:.3g} of {_visible_cores()}"
    )


@cache
def _granted() -> float | None:
    """Give what a control group grants; None if that is no less than all cores."""
    quota = cpu_quota()
    return quota if quota is not None and quota < _visible_cores() else None


def _visible_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Sharing(NamedTuple):
    """Single-threaded inference streams, and threads that decode."""

    streams: int
    decode_threads: int


def share_cores(threads: int = 0, streams: int = 0, decode_threads: int = 0) -> Sharing:
    """Choose what 0 leaves open: all cores, one stream and one decoding thread for each.

    Both stages work ahead by a bounded number of batches, so whichever is the bottleneck gets
    the cores, and the other sleeps: inference with small images, decoding with large ones.
    """
    cores = threads or available_cores()
    return Sharing(streams or cores, decode_threads or cores)


# Inference libraries choose their kernels by these; other flags change no result.
EXTENSIONS = (
    "sse4_2 avx avx2 fma avx_vnni avx512f avx512_vnni avx512_bf16 avx512_fp16 "
    "amx_tile amx_int8 amx_bf16 asimd asimdhp asimddp bf16 i8mm sve sve2"
).split()

BEST = {
    "int8": "amx_int8 avx512_vnni avx_vnni avx512f avx2 sse4_2 i8mm asimddp asimd".split(),
    "bf16": "amx_bf16 avx512_bf16".split(),
}
"""Extensions that multiply such numbers, in the order in which a library prefers them."""


def instruction_set(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Name the architecture and its extensions, such as ``x86_64 avx2 avx512f``.

    Where the system does not list extensions, the architecture alone.
    """
    found = processor_flags(cpuinfo)
    return " ".join([platform.machine() or "unknown", *(e for e in EXTENSIONS if e in found)])


def cpu_name(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Give the model name of the first core; where there is none, the architecture."""
    try:
        lines = cpuinfo.read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.machine() or "unknown"


def kernels_of(precision: str, cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Name the architecture, and the extension whose kernels multiply each kind of number here.

    ``int8``: such as ``x86_64 avx512_vnni``; ``int8-bf16``: ``x86_64 avx512_vnni avx512_bf16``.
    INT8 kernels of one extension give the same integers on every processor that has it.
    """
    found = processor_flags(cpuinfo)
    best = (
        next((name for name in BEST.get(number, ()) if name in found), "")
        for number in precision.split("-")
    )
    return " ".join(filter(None, [platform.machine() or "unknown", *best]))


def int8_kernels(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Name the extension whose kernels multiply INT8 here, such as ``x86_64 avx512_vnni``."""
    return kernels_of("int8", cpuinfo)


def multiplies_bfloat16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Tell whether this processor has products of bfloat16, summed in float32."""
    return not processor_flags(cpuinfo).isdisjoint(BEST["bf16"])


def processor_flags(cpuinfo: Path) -> set[str]:
    """Read what the system says of the first core, which stands for all; empty if nothing."""
    try:
        with cpuinfo.open(errors="replace") as lines:
            for line in lines:
                name, _, value = line.partition(":")
                # "flags" on x86, "Features" on Arm.
                if name.strip() in {"flags", "Features"}:
                    return set(value.split())
    except OSError:
        pass
    return set()
