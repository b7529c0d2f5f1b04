"""Which NVIDIA GPUs can be used here, asked without any package and without any risk."""

from dataclasses import dataclass
from typing import Any

from hambatch.asking import LEAN, Told, ask
from hambatch.gpu.driver_errors import LOOK, NO_DEVICE, Refusal, explain

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
    module = "hambatch.gpu.driver_child"
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
