"""The plan of a run: the kept one, or one that is built, tried on the GPU and kept."""

import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from shlex import quote

from hambatch.backends.tensorrt.library import Target, find_target
from hambatch.backends.tensorrt.options import BuildOptions
from hambatch.backends.tensorrt.plans.builder import FORM, Built, Progress, build_plan
from hambatch.backends.tensorrt.plans.cache import KeptPlan, NoPlan, PlanCache, plan_cache
from hambatch.backends.tensorrt.plans.fp16 import graph_of, source_of
from hambatch.backends.tensorrt.plans.invariance import measure_invariance, refuse_drift
from hambatch.backends.tensorrt.plans.record import PlanKey, PlanRecord
from hambatch.backends.tensorrt.plans.trial import (
    GpuTrial,
    Trial,
    compare_sentinels,
    decode_sentinels,
)
from hambatch.backends.tensorrt.requests import REQUEST_SIZE
from hambatch.engines.loading import (
    Engine,
    engines_folder,
    find_engine,
    installed_engines,
    load_engine,
)
from hambatch.errors import BackendError
from hambatch.system.cache import key_of
from hambatch.system.files import sha256_of_bytes
from hambatch.system.gpus import Gpu


def run_build(options: BuildOptions, report: Callable[[str], None], progress: Progress) -> str:
    """`hambatch build`: build a plan, or find it, and describe it.

    ``report`` gets why a plan is built. Raises HambatchError if there is no engine, no GPU or no
    TensorRT, or the plan cannot be built or is refused.
    """
    engine = load_engine(find_engine(options.engine))
    return describe(find_or_build(wanted_plan(engine, options), report, progress))


def ensure_plan(engine: Engine, precision: str, gpu: Gpu, request_size: int = REQUEST_SIZE) -> None:
    """Build the plan of a run on that GPU unless it is kept; that takes minutes.

    The build writes to this process's stderr, and says there why it builds. Raises HambatchError
    if there is no TensorRT, or no plan could be built.
    """
    try:
        kept_plan_for(engine, precision, request_size, gpu.ordinal)
    except BackendError:
        options = BuildOptions(precision=precision, max_batch=request_size, device=gpu.ordinal)
        _build_in_a_process(engine, options)


def _build_in_a_process(engine: Engine, options: BuildOptions) -> None:
    # Whatever becomes of the builder, and of the memory that it takes, this process continues.
    wanted = [f"--precision={options.precision}", f"--max-batch={options.max_batch}"]
    build = ["build", *wanted, f"--device={options.device}", "--", str(engine.folder)]
    command = [sys.executable, "-P", "-m", "hambatch", *build]
    code = subprocess.run(command, check=False).returncode  # noqa: S603
    if code:
        how = f"exit code {code}" if code > 0 else f"signal {-code}"
        raise BackendError(
            f"the {options.precision} plan of {engine.manifest.name} could not be built ({how}); "
            f"the reason stands above.\nNext: {build_command(engine, options)}"
        )


def kept_plan_for(engine: Engine, precision: str, max_batch: int, ordinal: int) -> KeptPlan:
    """Read the kept plan for the GPU of that number and prove it whole; nothing is built.

    It finds what ``hambatch build`` built with the same precision and ``--max-batch``, and no
    other option. Raises BackendError if there is none, with the reason and the command that
    builds it, or no such GPU or TensorRT; EngineError if the engine has no graph of that
    precision; InputError if the folder of plans is not private.
    """
    options = BuildOptions(precision=precision, max_batch=max_batch, device=ordinal)
    wanted = wanted_plan(engine, options)
    with plan_cache() as cache:
        try:
            return cache.find(wanted.key)
        except NoPlan as why:
            raise BackendError(
                f"there is no {precision} plan of {engine.manifest.name} for "
                f"{wanted.target.gpu.name} and batches up to {max_batch}: {why}.\n"
                f"Next: {build_command(engine, options)}"
            ) from why


def build_command(engine: Engine, options: BuildOptions) -> str:
    """Write the command that builds a plan of that engine."""
    words = ["hambatch build", f"--precision {options.precision} --max-batch {options.max_batch}"]
    if options.device:
        words.append(f"--device {options.device}")
    folder = engine.folder.resolve()
    if folder != engines_folder() / BuildOptions.engine:
        words.append(quote(folder.name if folder in installed_engines() else str(folder)))
    return " ".join(words)


@dataclass(frozen=True)
class WantedPlan:
    """Of which engine a plan is, how it is built, and for which GPU, which is that of ``trial``.

    ``engine`` and ``device`` of the options are not used.
    """

    engine: Engine
    options: BuildOptions
    target: Target
    trial: Trial

    @property
    def key(self) -> PlanKey:
        """What decides which plan may be used; EngineError if the engine lacks the graph."""
        source, options, target = self.engine.manifest.files, self.options, self.target
        return PlanKey(
            onnx_sha256=source[source_of(self.engine, options.precision)].sha256,
            precision=options.precision,
            form=FORM,
            tensorrt=target.tensorrt,
            gpu=target.gpu.name,
            capability=target.capability,
            driver=target.driver,
            cuda=target.cuda,
            profile=options.profile,
            workspace_megabytes=options.workspace_megabytes,
            hardware_compatible=options.hardware_compatible,
            version_compatible=options.version_compatible,
        )


def wanted_plan(engine: Engine, options: BuildOptions) -> WantedPlan:
    """Want a plan for a GPU of this machine; HambatchError if there is none, or no TensorRT."""
    target = find_target(options.device)
    return WantedPlan(engine, options, target, GpuTrial(options.device, engine.manifest))


def find_or_build(
    wanted: WantedPlan, report: Callable[[str], None], progress: Progress
) -> KeptPlan:
    """Read the wanted plan; build it if none is kept that may be used.

    Of several processes at once one builds, and the others read what it built. Raises
    EngineError if TensorRT does not take the graph, or the plan's scores are wrong; BackendError
    if it cannot be built; InputError if it cannot be kept.
    """
    key = wanted.key
    with plan_cache() as cache, cache.building(key):
        try:
            if wanted.options.rebuild:
                raise NoPlan("--rebuild")
            return cache.find(key)
        except NoPlan as why:
            name = wanted.engine.manifest.name
            report(f"building the {key.precision} plan of {name} for {key.gpu}: {why}")
        return _build(wanted, key, cache, progress)


def _build(wanted: WantedPlan, key: PlanKey, cache: PlanCache, progress: Progress) -> KeptPlan:
    """Build, try and keep a plan; one that is refused leaves nothing, and no timings either."""
    started, built_at = time.perf_counter(), datetime.now(UTC).isoformat(timespec="seconds")
    engine, precision = wanted.engine, key.precision
    images = decode_sentinels(engine)
    graph = graph_of(engine, precision, images)
    built = _compile(wanted, graph.content, cache, progress)
    with wanted.trial.running(built.plan) as predict:
        tolerance = engine.manifest.sentinels.tolerance
        invariance = measure_invariance(
            predict, images, wanted.options.max_batch, tolerance=tolerance
        )
        refuse_drift(invariance, precision)
        sentinels = compare_sentinels(engine, precision, predict, images)
    record = PlanRecord(
        key=key,
        sha256=sha256_of_bytes(built.plan),
        size_bytes=len(built.plan),
        engine=engine.manifest.name,
        built=built_at,
        seconds=round(time.perf_counter() - started, 1),
        conversion=graph.conversion,
        invariance=invariance,
        known_pictures=sentinels,
    )
    cache.keep(record, built.plan)
    if built.timing is not None:
        cache.keep_timing(_timing_key(wanted.target), built.timing)
    return KeptPlan(built.plan, record)


def _compile(wanted: WantedPlan, content: bytes, cache: PlanCache, progress: Progress) -> Built:
    options, target, timing = wanted.options, wanted.target, None
    if target.times_kernels:
        # From the same timings TensorRT would choose the same kernels again.
        timing = b"" if options.rebuild else cache.timing(_timing_key(target))
    spec = wanted.engine.manifest.input
    with wanted.trial.current():
        return build_plan(target.trt, content, options, spec, progress, timing)


def _timing_key(target: Target) -> str:
    """Name what kernels were timed with and on."""
    card = {"gpu": target.gpu.name, "capability": target.capability}
    driver = {"driver": target.driver, "cuda": target.cuda}
    return key_of({"tensorrt": target.tensorrt, **card, **driver})


def describe(plan: KeptPlan) -> str:
    """Name the plan, and how it was tried."""
    record, invariance = plan.record, plan.record.invariance
    sentinels, sizes = record.known_pictures, ", ".join(map(str, invariance.batch_sizes))
    lines = [
        f"{record.file}: tensorrt-{record.key.precision} of {record.engine} for {record.key.gpu}, "
        f"{record.size_bytes / 1e6:.1f} MB, built {record.built} in {record.seconds:.0f} s",
        f"  the same image in other slots and batches of {sizes}: probabilities differ by at most "
        f"{invariance.max_difference:.1e}",
    ]
    if sentinels:
        lines.append(
            f"  {sentinels['images']} sentinels are within {sentinels['max_difference']:.1e} of "
            f"the engine's record (tolerance {sentinels['tolerance']:.0e})"
        )
    if record.conversion:
        difference = record.conversion["values"]["max_difference"]
        lines.append(f"  rounding to FP16 alone moves a probability of theirs by {difference:.1e}")
    return "\n".join(lines)
