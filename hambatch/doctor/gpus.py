"""The NVIDIA driver and its GPUs, as findings."""

from collections.abc import Iterator

from hambatch.doctor.catalogue import GPU
from hambatch.doctor.finding import BROKEN, MISSING, USABLE, Finding
from hambatch.doctor.jpeg_engine import jpeg_engine
from hambatch.gpu.probe import Gpu, Probe, cuda_version, probe_gpus


def examine_gpus() -> list[Finding]:
    """Ask the driver, in a process of its own."""
    return list(findings(probe_gpus()))


def findings(probe: Probe) -> Iterator[Finding]:
    """The driver, and every GPU that it can use."""
    cuda = f"CUDA {cuda_version(probe.cuda)}" if probe.cuda else ""
    yield Finding(
        part="driver",
        name="nvidia-driver",
        state=USABLE if probe.usable else MISSING if probe.absent else BROKEN,
        needed_for=GPU,
        version=probe.driver,
        about=f"runs {cuda}" if cuda else "",
        why=probe.problem,
        next=probe.next,
    )
    if probe.usable:
        yield from map(_finding, probe.gpus)


def _finding(gpu: Gpu) -> Finding:
    major, minor = gpu.capability
    size = f"{gpu.memory_bytes / 2**30:.0f} GiB"
    about = f"compute capability {major}.{minor}, {size}; {jpeg_engine(gpu)}"
    part = f"gpu {gpu.ordinal}"
    return Finding(part, f"{gpu.name} ({part})", USABLE, GPU, about=about)
