"""The NVIDIA GPUs of this machine, as the driver names them."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from hambatch.errors import BackendError
from hambatch.system.probe import LEAN, Told, ask

NO_DEVICE = 100


LOOK = "nvidia-smi"


class Refusal(NamedTuple):
    """What it means, in a few words, and what to type."""

    meaning: str
    next: str


KNOWN = {
    2: Refusal("out of memory", LOOK),
    34: Refusal(
        "the stub of a CUDA toolkit was loaded in place of the driver",
        "take the toolkit's stubs out of LD_LIBRARY_PATH",
    ),
    35: Refusal("the driver is too old", "install a newer NVIDIA driver, then nvidia-smi"),
    36: Refusal("the driver is too old", "install a newer NVIDIA driver, then nvidia-smi"),
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


def explain(error: int, environment: Mapping[str, str] = os.environ) -> Refusal:
    """Say what an error of ``cuInit`` means; 100 also stands for a count of none."""
    if error == NO_DEVICE:
        return _no_device(environment.get("CUDA_VISIBLE_DEVICES"))
    known = KNOWN.get(error, Refusal("see CUresult in the CUDA driver API", LOOK))
    return Refusal(f"cuInit gave error {error}: {known.meaning}", known.next)


def _no_device(visible: str | None) -> Refusal:
    if visible is not None:
        return Refusal(
            f"no GPU is visible: CUDA_VISIBLE_DEVICES is {visible!r}", "unset CUDA_VISIBLE_DEVICES"
        )
    return Refusal(
        "the driver finds no GPU", "nvidia-smi -L; a container has to be started with --gpus all"
    )


LEAST_CUDA = 12000
"""What the CUDA 12 packages of DALI and TensorRT ask of a driver, as it numbers versions."""


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
    """What the driver said.

    Attributes
    ----------
    driver
        Its version, such as ``550.54.15``; empty if unknown.
    cuda
        The newest CUDA that it runs, as it numbers versions: 12040 is 12.4; 0 if unknown.
    gpus
        By ordinal.
    problem
        Why no GPU can be used, in a line; empty if one can.
    next
        What to type or do then.
    absent
        Whether there is no driver at all, which is no fault on a machine without a GPU.
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
    """Ask the driver in a process of its own: a broken one crashes or hangs that, not this.

    Parameters
    ----------
    library, management
        The driver's libraries, CUDA and NVML: names that the loader finds, or paths.
    seconds
        How long they may take.
    """
    module = "hambatch.system.gpu_child"
    told = ask(module, library, management, seconds=seconds, flags=LEAN)
    said: dict[str, Any] = {}
    for part in told.answers:
        said |= part
    found = (Gpu(**{**one, "capability": tuple(one["capability"])}) for one in said.get("gpus", ()))
    absent = _is_absent(library, said)
    problem = Refusal(f"no {library}: no NVIDIA driver is installed", INSTALL)
    if not absent:
        problem = _problem(library, said, told)
    driver, cuda = said.get("driver", ""), said.get("cuda", 0)
    return Probe(driver, cuda, tuple(found), *problem, absent)


def _is_absent(library: str, said: dict[str, Any]) -> bool:
    """Tell a library that is not there from one that lacks another one."""
    missing = f"{library}: cannot open shared object file"
    return str(said.get("not_loaded", "")).startswith(missing)


def _problem(library: str, said: dict[str, Any], told: Told) -> Refusal:
    if "not_loaded" in said:
        return Refusal(f"{library} cannot be loaded: {said['not_loaded']}", INSTALL)
    if said.get("error", 0) == 0 and "gpus" not in said:
        return Refusal(f"{library} cannot be asked: {told.trouble}", LOOK)
    if said["error"]:
        return explain(said["error"])
    if said.get("cuda", 0) < LEAST_CUDA:
        wanted = f"{LEAST_CUDA // 1000}.{LEAST_CUDA % 1000 // 10}"
        found = f"the driver is too old: it runs CUDA {cuda_version(said.get('cuda', 0))}"
        return Refusal(f"{found}, wanted {wanted} or newer", INSTALL)
    return Refusal("", "") if said["gpus"] else explain(NO_DEVICE)


def cuda_version(number: int) -> str:
    """Write 12040 as ``12.4``."""
    return f"{number // 1000}.{number % 1000 // 10}" if number else "unknown"


def usable_gpu(ordinal: int) -> tuple[Gpu, Probe]:
    """Ask the driver for the GPU of that number; see :func:`chosen_gpu`."""
    probe = probe_gpus()
    return chosen_gpu(probe, ordinal), probe


def chosen_gpu(probe: Probe, ordinal: int) -> Gpu:
    """Find the GPU of that number, before anything is created on it.

    Without a usable GPU TensorRT takes the process with it.

    Raises
    ------
    BackendError
        If there is none, or none can be used.
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
