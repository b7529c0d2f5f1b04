"""The NVIDIA GPUs of this machine, as the driver names them."""

import os
from dataclasses import dataclass
from typing import Any, NamedTuple

from hambatch.errors import BackendError
from hambatch.system.probe import LEAN, ProbeResult, run_probe

NO_DEVICE = 100
LOOK = "nvidia-smi"


class Refusal(NamedTuple):
    """What it means, in a few words, and what to type."""

    meaning: str
    next: str


TOO_OLD = Refusal("the driver is too old", "install a newer NVIDIA driver, then nvidia-smi")
KNOWN = {
    2: Refusal("out of memory", LOOK),
    34: Refusal(
        "the stub of a CUDA toolkit was loaded in place of the driver",
        "take the toolkit's stubs out of LD_LIBRARY_PATH",
    ),
    35: TOO_OLD,
    36: TOO_OLD,
    46: Refusal(
        "the GPU is not available: another process has it for itself, or it is prohibited",
        "nvidia-smi -q -d COMPUTE",
    ),
    304: Refusal(
        "the operating system refused: the device files may be missing or not permitted",
        "ls -l /dev/nvidia*",
    ),
    800: Refusal("not permitted", "ls -l /dev/nvidia*"),
    802: Refusal(
        "the system is not ready: a service that the GPUs need is not running",
        "sudo systemctl start nvidia-fabricmanager",
    ),
    803: Refusal(
        "the driver in the kernel and its library are of different versions",
        "restart the machine: the driver was updated while it ran",
    ),
    804: Refusal(
        "a forward compatibility library is in place, which this GPU does not support",
        "take the folder of cuda-compat out of LD_LIBRARY_PATH",
    ),
    805: Refusal("the MPS daemon does not answer", "nvidia-cuda-mps-control -d"),
    999: Refusal(
        "unknown error, seen where the module nvidia_uvm is not loaded and after a suspend",
        "sudo modprobe nvidia_uvm, or restart the machine",
    ),
}


def explain(error: int) -> Refusal:
    """Say what an error of ``cuInit`` means; 100 also stands for a count of none."""
    if error != NO_DEVICE:
        known = KNOWN.get(error, Refusal("see CUresult in the CUDA driver API", LOOK))
        return Refusal(f"cuInit gave error {error}: {known.meaning}", known.next)
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return Refusal(
            f"no GPU is visible: CUDA_VISIBLE_DEVICES is {visible!r}", "unset CUDA_VISIBLE_DEVICES"
        )
    return Refusal(
        "the driver finds no GPU", "nvidia-smi -L; a container has to be started with --gpus all"
    )


LEAST_CUDA = 12000
"""The CUDA that the CUDA 12 packages of DALI and TensorRT need, as the driver numbers versions."""

INSTALL = "install NVIDIA's driver, 525 or newer, then nvidia-smi"
"""525 is the oldest driver of CUDA 12 (NVIDIA, CUDA compatibility, minor versions)."""

SECONDS = 60.0
"""A driver that nothing keeps loaded needs seconds to start each of its GPUs."""


@dataclass(frozen=True)
class Gpu:
    """One GPU, as CUDA numbers them; ``uuid`` is 32 hexadecimal digits, or empty."""

    ordinal: int
    name: str
    capability: tuple[int, int]
    memory_bytes: int
    uuid: str


@dataclass(frozen=True)
class Probe:
    """What the driver reports.

    ``driver`` is its version, such as ``550.54.15``, or empty; ``cuda`` the newest CUDA that it
    runs, as it numbers versions: 12040 is 12.4; 0 if unknown. ``problem`` says in a line why no
    GPU can be used, and ``next`` what to type then; both are empty if one can. ``absent``: there
    is no driver at all, which is no fault on a machine without a GPU.
    """

    driver: str
    cuda: int
    gpus: tuple[Gpu, ...]
    problem: str
    next: str
    absent: bool = False

    @property
    def usable(self) -> bool:
        """Whether there is a driver and a GPU that it can use."""
        return not self.problem


def probe_gpus(
    library: str = "libcuda.so.1",
    management: str = "libnvidia-ml.so.1",
    *,
    seconds: float = SECONDS,
) -> Probe:
    """Query the driver in a child process: a broken driver crashes or hangs that, not this.

    ``library`` and ``management`` are the driver's CUDA and NVML: names that the loader finds,
    or paths; ``seconds`` is how long they may take.
    """
    module = "hambatch.system.gpu_child"
    result = run_probe(module, library, management, seconds=seconds, flags=LEAN)
    sent: dict[str, Any] = {}
    for part in result.reports:
        sent |= part
    gpus = (Gpu(**{**one, "capability": tuple(one["capability"])}) for one in sent.get("gpus", ()))
    # A library that is there may lack another one: that is a fault.
    missing = f"{library}: cannot open shared object file"
    absent = str(sent.get("not_loaded", "")).startswith(missing)
    problem = Refusal(f"no {library}: no NVIDIA driver is installed", INSTALL)
    if not absent:
        problem = _problem(library, sent, result)
    return Probe(sent.get("driver", ""), sent.get("cuda", 0), tuple(gpus), *problem, absent)


def _problem(library: str, sent: dict[str, Any], result: ProbeResult) -> Refusal:
    if "not_loaded" in sent:
        return Refusal(f"{library} cannot be loaded: {sent['not_loaded']}", INSTALL)
    if sent.get("error", 0) == 0 and "gpus" not in sent:
        return Refusal(f"{library} does not answer: {result.problem}", LOOK)
    if sent["error"]:
        return explain(sent["error"])
    if sent.get("cuda", 0) < LEAST_CUDA:
        found = f"the driver is too old: it runs CUDA {cuda_version(sent.get('cuda', 0))}"
        return Refusal(f"{found}, wanted {cuda_version(LEAST_CUDA)} or newer", INSTALL)
    return Refusal("", "") if sent["gpus"] else explain(NO_DEVICE)


def cuda_version(number: int) -> str:
    """Write 12040 as ``12.4``."""
    return f"{number // 1000}.{number % 1000 // 10}" if number else "unknown"


def usable_gpu(ordinal: int) -> tuple[Gpu, Probe]:
    """Find the GPU of that number, and all that the driver reports; see :func:`chosen_gpu`."""
    probe = probe_gpus()
    return chosen_gpu(probe, ordinal), probe


def chosen_gpu(probe: Probe, ordinal: int) -> Gpu:
    """Find the GPU of that number before TensorRT starts: without a GPU it ends the process.

    Raises BackendError if there is none of that number, or none can be used.
    """
    if not probe.usable:
        raise BackendError(f"TensorRT needs a GPU: {probe.problem}.\nNext: {probe.next}")
    for gpu in probe.gpus:
        if gpu.ordinal == ordinal:
            return gpu
    there = ", ".join(f"{gpu.ordinal} ({gpu.name})" for gpu in probe.gpus)
    raise BackendError(
        f"there is no GPU {ordinal} here; there is: {there}.\n"
        f"Next: the same command with --device {probe.gpus[0].ordinal}"
    )
