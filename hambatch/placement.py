"""Where a run computes: on which device, by which backend, and why."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec

from hambatch.errors import BackendError, InputError
from hambatch.gpu.choosing import chosen_gpu
from hambatch.gpu.probe import Gpu, Probe, probe_gpus

AUTO, CPU, GPU = "auto", "cpu", "gpu"

ON_CPU, ON_GPU = "openvino", "tensorrt"
"""The backend of each, where none is asked for."""

BACKENDS_OF_CPU = (ON_CPU, "keras")

FOR_GPU = ("nvidia.dali", "tensorrt", "pycuda")
"""Packages without which ``auto`` does not look for a GPU."""

DIGITS_AT_MOST = 6

Ask = Callable[[], Probe]


@dataclass(frozen=True)
class Placement:
    """A backend, the GPUs that it computes on (none: the CPU does), and why, in a few words."""

    backend: str
    gpus: tuple[Gpu, ...]
    why: str

    @property
    def device(self) -> str:
        """As ``--device`` takes it: ``cpu``, or ``0,1``."""
        return ",".join(str(gpu.ordinal) for gpu in self.gpus) or CPU

    @property
    def named(self) -> str:
        """For people: ``cpu``, or ``gpu 0,1``."""
        return f"gpu {self.device}" if self.gpus else CPU


def place(device: str, backend: str, ask: Ask | None = None) -> Placement:
    """Settle what ``auto`` leaves open.

    Parameters
    ----------
    device
        ``auto``, ``cpu``, ``gpu`` (the first), or numbers of GPUs, such as ``0,2``.
    backend
        ``auto``, ``openvino``, ``keras`` or ``tensorrt``.
    ask
        What asks the driver; default: :func:`hambatch.gpu.probe.probe_gpus`.

    Raises
    ------
    InputError
        If ``device`` is none of these, or not where the backend computes.
    BackendError
        If a GPU is asked for that is not there, or several of different models.
    """
    numbers, ask = numbers_in(device), ask or probe_gpus
    if backend in BACKENDS_OF_CPU:
        if device not in (AUTO, CPU):
            raise _elsewhere(backend, "CPU", device, ON_GPU)
        return Placement(backend, (), f"where {backend} computes" if device == AUTO else "as asked")
    if device == CPU:
        if backend == ON_GPU:
            raise _elsewhere(backend, "GPU", device, ON_CPU)
        return Placement(ON_CPU, (), "as asked")
    if device == AUTO and backend == AUTO:
        return _usable(ask)
    probe = ask()
    if not probe.usable:
        raise BackendError(
            f"TensorRT needs a GPU: {probe.problem}.\nNext: {probe.next}, or --device cpu"
        )
    gpus = tuple(chosen_gpu(probe, number) for number in numbers or (0,))
    _refuse_different(gpus)
    return Placement(ON_GPU, gpus, f"as asked, {gpus[0].name}")


def numbers_in(device: str) -> tuple[int, ...]:
    """Read the numbers of GPUs; none for ``auto``, ``cpu`` and ``gpu``.

    Raises
    ------
    InputError
        If it is anything else.
    """
    if device in (AUTO, CPU, GPU):
        return ()
    words = device.split(",")
    numbers = tuple(int(word) for word in words if _is_number(word))
    if len(numbers) == len(words) == len(set(numbers)):
        return numbers
    raise InputError(
        f"--device is {device!r}, wanted auto, cpu, gpu, or different numbers of GPUs.\n"
        "Next: --device 0, or --device 0,1"
    )


def _is_number(word: str) -> bool:
    """No machine has a million GPUs; Python refuses to read numbers of thousands of digits."""
    return word.isascii() and word.isdigit() and len(word) <= DIGITS_AT_MOST


def _usable(ask: Ask) -> Placement:
    for package in FOR_GPU:
        if not _is_installed(package):
            return Placement(ON_CPU, (), f"{package} is not installed")
    probe = ask()
    if not probe.usable:
        return Placement(ON_CPU, (), probe.problem)
    return Placement(ON_GPU, probe.gpus[:1], probe.gpus[0].name)


def _is_installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:
        return False


def _refuse_different(gpus: tuple[Gpu, ...]) -> None:
    """Plans are those of one model: two of them would round otherwise."""
    first = gpus[0]
    for gpu in gpus:
        if (gpu.name, gpu.capability) != (first.name, first.capability):
            raise BackendError(
                f"GPU {first.ordinal} is a {first.name} and GPU {gpu.ordinal} a {gpu.name}; wanted "
                "one model, so that an image's scores do not depend on which of them it goes to.\n"
                f"Next: the same command with --device {first.ordinal}"
            )


def _elsewhere(backend: str, where: str, device: str, other: str) -> InputError:
    return InputError(
        f"the {backend} backend computes on the {where}, found --device {device}.\n"
        f"Next: --backend {other}, or leave --backend out"
    )
