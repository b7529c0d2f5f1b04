"""The run plan: device, backend, precision and cores, resolved once before a run starts."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from hambatch.backends.openvino_compile import cache_folder
from hambatch.engines.backend_names import cpu_precision
from hambatch.engines.loading import load_engine
from hambatch.engines.manifest import identity_of, read_manifest
from hambatch.engines.precision import Choice, choose_precision
from hambatch.engines.probabilities import as_wanted, temperature_of
from hambatch.engines.referral import Rules, rules_in_force
from hambatch.errors import BackendError, HambatchError, InputError
from hambatch.scoring.device_names import AUTO, CPU, numbers_in
from hambatch.scoring.options import ScoreOptions
from hambatch.scoring.worker.protocol import Job
from hambatch.sources.reading import Limits
from hambatch.sources.source import Sources, find_sources
from hambatch.system.cache import problem_with
from hambatch.system.cpu import available_cores, instruction_set, share_cores
from hambatch.system.gpus import Gpu, Probe, chosen_gpu, probe_gpus
from hambatch.system.text import excerpt

ON_CPU, ON_GPU = "openvino", "tensorrt"
"""The backend of each, where ``--backend`` is ``auto``."""

BACKENDS_OF_CPU = (ON_CPU, "keras")

BACKENDS = (AUTO, *BACKENDS_OF_CPU, ON_GPU)

FOR_GPU = ("nvidia.dali", "tensorrt", "pycuda")
"""Packages without which ``auto`` does not look for a GPU."""


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


def sources_of(words: Sequence[Path], options: ScoreOptions, *, null: bool = False) -> Sources:
    """Find what a command line names, to be looked through as the options say.

    Raises InputError as :func:`find_sources`.
    """
    return find_sources(
        words,
        archives=options.archives,
        follow_symlinks=options.follow_symlinks,
        null=null,
        max_ratio=options.max_ratio,
        keep_ids=options.keep_ids,
    )


def place(device: str, backend: str, probe: Callable[[], Probe] | None = None) -> Placement:
    """Choose backend and GPUs where ``auto`` leaves them open.

    Parameters
    ----------
    device
        ``auto``, ``cpu``, ``gpu`` (the first), or numbers of GPUs, such as ``0,2``.
    backend
        ``auto``, ``openvino``, ``keras`` or ``tensorrt``.
    probe
        Reads the GPUs from the driver; default: :func:`hambatch.system.gpus.probe_gpus`.

    Raises
    ------
    InputError
        If one of them is none of these, or the backend does not compute on the device.
    BackendError
        If a GPU is wanted that is not there, or several of different models.
    """
    numbers, probe = numbers_in(device), probe or probe_gpus
    _refuse_unknown(backend)
    if backend in BACKENDS_OF_CPU:
        if device not in (AUTO, CPU):
            raise _elsewhere(backend, "CPU", device, ON_GPU)
        return Placement(backend, (), f"where {backend} computes" if device == AUTO else "as asked")
    if device == CPU:
        if backend == ON_GPU:
            raise _elsewhere(backend, "GPU", device, ON_CPU)
        return Placement(ON_CPU, (), "as asked")
    if device == AUTO and backend == AUTO:
        return _usable(probe)
    found = probe()
    if not found.usable:
        raise BackendError(
            f"TensorRT needs a GPU: {found.problem}.\nNext: {found.next}, or --device cpu"
        )
    gpus = tuple(chosen_gpu(found, number) for number in numbers or (0,))
    _refuse_different(gpus)
    return Placement(ON_GPU, gpus, f"as asked, {gpus[0].name}")


def _refuse_unknown(backend: str) -> None:
    if backend not in BACKENDS:
        raise InputError(
            f"--backend is {excerpt(backend)!r}, wanted one of {', '.join(BACKENDS)}.\n"
            "Next: --backend auto"
        )


def _usable(probe: Callable[[], Probe]) -> Placement:
    for package in FOR_GPU:
        if not _is_installed(package):
            return Placement(ON_CPU, (), f"{package} is not installed")
    found = probe()
    if not found.usable:
        return Placement(ON_CPU, (), found.problem)
    return Placement(ON_GPU, found.gpus[:1], found.gpus[0].name)


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
class RunPlan:
    """What a run computes with, resolved once from its options, its engine and this machine.

    Attributes
    ----------
    given, used
        The options as they were given, and with device, backend and precision resolved.
    jobs
        The job of each worker by device: ``cpu``, or the number of a GPU. A run on GPUs has one
        for the CPU too, which scores the rest if every GPU fails.
    takes_over
        Whether the CPU resumes what a GPU began that ``auto`` had chosen.
    cache_problem
        Why compiled graphs cannot be kept; empty if they can, or need not be.
    rules
        Of the engine's certificates that are in force.
    """

    given: ScoreOptions
    used: ScoreOptions
    placement: Placement
    choice: Choice
    jobs: Mapping[str, Job]
    cores: int
    instruction_set: str
    takes_over: bool
    cache_problem: str
    rules: Rules

    @property
    def devices(self) -> tuple[str, ...]:
        """Name the devices that the run starts on: keys of ``jobs``."""
        return tuple(str(gpu.ordinal) for gpu in self.placement.gpus) or (CPU,)

    @property
    def job(self) -> Job:
        """The job of the first device."""
        return self.jobs[self.devices[0]]


def plan_run(
    engine: Path,
    options: ScoreOptions,
    sources: Sources | None = None,
    *,
    began_on_gpu: bool = False,
    build: bool = True,
) -> RunPlan:
    """Resolve what the options leave open.

    Parameters
    ----------
    engine
        The engine's folder.
    sources
        Only files that really lie in them are read, unless they follow symbolic links; None: files
        anywhere.
    began_on_gpu
        Whether the run resumes one that began on a GPU. Where that was chosen by ``auto`` and
        is gone, the CPU does the rest.
    build
        Whether to build the TensorRT plan that a GPU needs, if none is kept.

    Raises
    ------
    EngineError
        If the engine lacks the precision, or its gate failed or was not measured here.
    HambatchError
        If the device that is wanted is not there, or cannot be used.
    """
    manifest = read_manifest(engine)
    temperature = temperature_of(as_wanted(manifest, options.calibration))
    rules = rules_in_force(manifest, options.tta, temperature)
    placement = place(options.device, options.backend)
    if placement.gpus:
        choice = choose_precision(manifest, ON_GPU, options.precision, force=options.force)
        if build:
            placement = _with_tensorrt_plan(engine, options, placement, choice.used)
    takes_over = began_on_gpu and options.device_is_open and not placement.gpus
    if not placement.gpus:
        wanted = cpu_precision(options.precision) if takes_over else options.precision
        force = options.force
        choice = choose_precision(manifest, placement.backend, wanted, force=force, rules=rules)
        choice = replace(choice, wanted=options.precision)
    jobs = _jobs(engine, options, sources, placement, choice.used)
    cache = None if placement.gpus else jobs[CPU].model_cache
    used = replace(options, device=placement.device, backend=placement.backend)
    return RunPlan(
        given=options,
        used=replace(used, precision=choice.used),
        placement=placement,
        choice=choice,
        jobs=jobs,
        cores=min(options.threads or available_cores(), available_cores()),
        instruction_set=instruction_set(),
        takes_over=takes_over,
        cache_problem=problem_with(cache) if cache else "",
        rules=rules,
    )


def _with_tensorrt_plan(
    engine: Path, options: ScoreOptions, placement: Placement, precision: str
) -> Placement:
    """Build the TensorRT plan if none is kept; where that fails and ``auto`` chose: the CPU."""
    from hambatch.backends.tensorrt.plans.build import ensure_plan

    try:
        ensure_plan(load_engine(engine), precision, placement.gpus[0])
    except HambatchError as error:
        if not options.device_is_open:
            raise
        why = str(error).partition("\n")[0]
        return Placement(ON_CPU, (), f"{placement.gpus[0].name} is there, but {why}")
    return placement


def _limits(options: ScoreOptions) -> Limits:
    return Limits(
        max_bytes=int(options.max_megabytes * 1e6),
        max_pixels=int(options.max_megapixels * 1e6),
        salvage_truncated=options.salvage_truncated,
        min_side=options.min_side,
        max_aspect=options.max_aspect,
        all_formats=options.all_formats,
    )


def _jobs(
    engine: Path,
    options: ScoreOptions,
    sources: Sources | None,
    placement: Placement,
    precision: str,
) -> dict[str, Job]:
    """Make the job of every device, and of the CPU, which scores the rest if every GPU fails."""
    shared = share_cores(options.threads, options.streams, options.decode_threads)
    limits = _limits(options)
    job = partial(
        Job,
        engine=engine,
        engine_sha256=identity_of(engine),
        batch_size=options.batch_size,
        streams=shared.streams,
        decode_threads=shared.decode_threads,
        readers=options.readers,
        prefetch=options.prefetch,
        limits=limits,
        decode_seconds=options.decode_seconds,
        roots=sources.bounds(limits).roots if sources else (),
        decoder=options.decoder,
        tta=options.tta,
        double_check=options.double_check,
    )
    jobs = {
        str(gpu.ordinal): job(backend=ON_GPU, precision=precision, gpu=gpu.ordinal)
        for gpu in placement.gpus
    }
    # No gate was measured on a GPU: INT8 there was forced, and stays INT8 on the CPU.
    on_cpu = (ON_CPU, cpu_precision(precision)) if jobs else (placement.backend, precision)
    cache = cache_folder(on_cpu[1]) if options.model_cache else None
    jobs[CPU] = job(backend=on_cpu[0], precision=on_cpu[1], model_cache=cache)
    return jobs
