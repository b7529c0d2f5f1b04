"""The run plan: device, backend, precision and cores, resolved once before a run starts."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

from hambatch.backends.openvino_compile import cache_folder
from hambatch.engines.loading import load_engine
from hambatch.engines.manifest import read_manifest
from hambatch.engines.precision import Choice, choose_precision
from hambatch.errors import BackendError, HambatchError, InputError
from hambatch.score.options import ScoreOptions
from hambatch.score.worker.protocol import Job
from hambatch.sources.reading import Limits
from hambatch.system.cache import problem_with
from hambatch.system.cpu import Sharing, available_cores, instruction_set, share_cores
from hambatch.system.gpus import Gpu, Probe, chosen_gpu, probe_gpus

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
        What asks the driver; default: :func:`hambatch.system.gpus.probe_gpus`.

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


@dataclass(frozen=True)
class Plan:
    """The options with what is used where ``auto`` was given, why, and how the cores are shared.

    ``given`` are the options as they were given. ``no_cache`` says why compiled graphs cannot
    be kept; empty if they can, or need not be.
    """

    given: ScoreOptions
    options: ScoreOptions
    placement: Placement
    choice: Choice
    sharing: Sharing
    cores: int
    instruction_set: str
    no_cache: str = ""


def plan_of(engine_folder: Path, options: ScoreOptions) -> Plan:
    """Settle what the options leave open; on a GPU, a TensorRT plan is built if none is kept.

    Raises
    ------
    EngineError
        If the precision is one that the engine lacks, or should not be used here.
    HambatchError
        If the device that is asked for is not there, or cannot be used.
    """
    manifest = read_manifest(engine_folder)
    placement = place(options.device, options.backend)
    choice = choose_precision(manifest, placement.backend, options.precision, force=options.force)
    if placement.gpus:
        placement = _with_plan(engine_folder, options, placement, choice.used)
    if not placement.gpus:
        backend = placement.backend
        choice = choose_precision(manifest, backend, options.precision, force=options.force)
    cache = cache_folder(choice.used) if not placement.gpus else None
    return Plan(
        given=options,
        options=replace(
            options,
            device=placement.device,
            backend=placement.backend,
            precision=choice.used,
        ),
        placement=placement,
        choice=choice,
        sharing=share_cores(options.threads, options.streams, options.decode_threads),
        cores=min(options.threads or available_cores(), available_cores()),
        instruction_set=instruction_set(),
        no_cache=problem_with(cache) if cache and options.model_cache else "",
    )


def _with_plan(
    engine_folder: Path, options: ScoreOptions, placement: Placement, precision: str
) -> Placement:
    """See to it that there is a TensorRT plan; where nobody asked for a GPU, do without."""
    from hambatch.backends.tensorrt.plans.build import ensure_plan

    try:
        ensure_plan(load_engine(engine_folder), precision, placement.gpus[0])
    except HambatchError as error:
        if (options.device, options.backend) != (AUTO, AUTO):
            raise
        why = str(error).partition("\n")[0]
        return Placement(ON_CPU, (), f"{placement.gpus[0].name} is there, but {why}")
    return placement


def job_for(
    engine_folder: Path, options: ScoreOptions, root: Path | None = None, gpu: int | None = None
) -> Job:
    """Resolve the options that depend on the machine.

    With ``root`` only files that really lie below it are read, unless the
    options follow symbolic links. Of several GPUs the job is that of number ``gpu``,
    or of the first.

    Raises
    ------
    EngineError
        If the precision is one that the engine lacks, or should not be used here.
    HambatchError
        As :func:`hambatch.score.plan.place` says.
    """
    manifest = read_manifest(engine_folder)
    options = placed(options)
    choice = choose_precision(manifest, options.backend, options.precision, force=options.force)
    numbers = numbers_in(options.device)
    shared = share_cores(options.threads, options.streams, options.decode_threads)
    return Job(
        engine=engine_folder,
        backend=options.backend,
        precision=choice.used,
        batch_size=options.batch_size,
        streams=shared.streams,
        decode_threads=shared.decode_threads,
        readers=options.readers,
        prefetch=options.prefetch,
        limits=Limits(
            max_bytes=int(options.max_megabytes * 1e6),
            max_pixels=int(options.max_megapixels * 1e6),
            salvage_truncated=options.salvage_truncated,
        ),
        root=root.resolve() if root else None,
        follow_symlinks=options.follow_symlinks,
        model_cache=cache_folder(choice.used) if options.model_cache else None,
        gpu=gpu if gpu is not None or not numbers else numbers[0],
        decoder=options.decoder,
        tta=options.tta,
    )


def placed(options: ScoreOptions) -> ScoreOptions:
    """Settle device and backend, if they are open."""
    if options.device != AUTO and options.device != GPU and options.backend != AUTO:
        return options
    placement = place(options.device, options.backend)
    return replace(options, device=placement.device, backend=placement.backend)
