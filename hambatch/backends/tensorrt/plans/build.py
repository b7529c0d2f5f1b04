"""Before a run on a GPU: its plan is kept, or is built now, in a process of its own."""

import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from shlex import quote
from typing import Any

from hambatch.backends.tensorrt.library import Target, find_target
from hambatch.backends.tensorrt.options import BuildOptions
from hambatch.backends.tensorrt.plans.builder import FORM, Built, Progress, Recipe, build_plan
from hambatch.backends.tensorrt.plans.cache import KeptPlan, NoPlan, PlanCache, plan_cache
from hambatch.backends.tensorrt.plans.fp16 import graph_of, source_of
from hambatch.backends.tensorrt.plans.invariance import (
    Images,
    Invariance,
    measure_invariance,
    refuse_drift,
)
from hambatch.backends.tensorrt.plans.record import PlanKey, PlanRecord
from hambatch.backends.tensorrt.plans.trial import (
    GpuTrial,
    Trial,
    compare_known_pictures,
    decode_known_pictures,
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

DEFAULTS = BuildOptions()


@dataclass(frozen=True)
class Order:
    """What plan is wanted: of which engine, how, and for which GPU, which is that of ``trial``.

    ``engine`` and ``device`` of the options are not looked at.
    """

    engine: Engine
    options: BuildOptions
    target: Target
    trial: Trial

    @property
    def recipe(self) -> Recipe:
        """How it is built. Scoring fills every batch up, so the largest is the usual one."""
        options = self.options
        return Recipe(
            (1, options.max_batch, options.max_batch),
            options.workspace_megabytes,
            options.hardware_compatible,
            options.version_compatible,
        )

    @property
    def key(self) -> PlanKey:
        """What decides which plan may be used.

        Raises
        ------
        EngineError
            If the engine has no graph for that precision.
        """
        engine, target, recipe = self.engine, self.target, self.recipe
        source = source_of(engine, self.options.precision)
        return PlanKey(
            onnx_sha256=engine.manifest.files[source].sha256,
            precision=self.options.precision,
            form=FORM,
            tensorrt=target.tensorrt,
            gpu=target.gpu.name,
            capability=target.capability,
            driver=target.driver,
            cuda=target.cuda,
            profile=recipe.profile,
            workspace_megabytes=recipe.workspace_megabytes,
            hardware_compatible=recipe.hardware_compatible,
            version_compatible=recipe.version_compatible,
        )


def deliver(
    order: Order, tell: Callable[[str], None], progress: Progress | None = None
) -> KeptPlan:
    """Give the plan that was ordered; build it if none is kept that may be used.

    Of several processes that ask at once, one builds, and the others take what it built.

    Parameters
    ----------
    tell
        Is told why a plan is built.

    Raises
    ------
    EngineError
        If TensorRT does not take the graph, or the plan does not answer as it has to.
    BackendError
        If it cannot be built.
    InputError
        If it cannot be kept.
    """
    key = order.key
    with plan_cache() as cache, cache.alone(key):
        try:
            if order.options.rebuild:
                raise NoPlan("--rebuild")
            return cache.find(key)
        except NoPlan as why:
            name = order.engine.manifest.name
            tell(f"building the {key.precision} plan of {name} for {key.gpu}: {why}")
        return _build(order, cache, progress)


def find_kept(order: Order) -> KeptPlan:
    """Give the plan that was ordered if it is kept; nothing is built.

    Raises
    ------
    BackendError
        Saying why there is none, and the command that builds it.
    EngineError
        If the engine has no graph for that precision.
    InputError
        If the folder of plans cannot be believed.
    """
    key = order.key
    with plan_cache() as cache:
        try:
            return cache.find(key)
        except NoPlan as why:
            raise BackendError(
                f"there is no {key.precision} plan of {order.engine.manifest.name} for {key.gpu} "
                f"and batches up to {key.profile[-1]}: {why}.\n"
                f"Next: {build_command(order.engine, order.options)}"
            ) from why


def build_command(engine: Engine, options: BuildOptions) -> str:
    """Write the command that builds a plan of that engine."""
    words = ["hambatch build", f"--precision {options.precision} --max-batch {options.max_batch}"]
    if options.device:
        words.append(f"--device {options.device}")
    folder = engine.folder.resolve()
    if folder != engines_folder() / DEFAULTS.engine:
        words.append(quote(folder.name if folder in installed_engines() else str(folder)))
    return " ".join(words)


def _build(order: Order, cache: PlanCache, progress: Progress | None) -> KeptPlan:
    """Build, try and keep a plan; one that is refused leaves nothing, and no timings either."""
    started, built_at = time.perf_counter(), datetime.now(UTC).isoformat(timespec="seconds")
    engine, key = order.engine, order.key
    images = decode_known_pictures(engine)
    graph = graph_of(engine, key.precision, images)
    built = _compile(order, graph.content, cache, progress)
    plan = built.plan
    invariance, known = _try(order, plan, images)
    record = PlanRecord(
        key=key,
        sha256=sha256_of_bytes(plan),
        size_bytes=len(plan),
        engine=engine.manifest.name,
        built=built_at,
        seconds=round(time.perf_counter() - started, 1),
        conversion=graph.conversion,
        invariance=invariance,
        known_pictures=known,
    )
    cache.keep(record, plan)
    if built.timing is not None:
        cache.keep_timing(_timings_of(order.target), built.timing)
    return KeptPlan(plan, record)


def _compile(order: Order, content: bytes, cache: PlanCache, progress: Progress | None) -> Built:
    target, timing = order.target, None
    if target.times_kernels:
        # From the same timings TensorRT would choose the same kernels again.
        timing = b"" if order.options.rebuild else cache.timing(_timings_of(target))
    with order.trial.current():
        return build_plan(
            target.trt,
            content,
            order.recipe,
            order.engine.manifest.input,
            timing=timing,
            progress=progress,
        )


def _timings_of(target: Target) -> str:
    """Name what kernels were timed with and on."""
    card = {"gpu": target.gpu.name, "capability": target.capability}
    driver = {"driver": target.driver, "cuda": target.cuda}
    return key_of({"tensorrt": target.tensorrt, **card, **driver})


def _try(order: Order, plan: bytes, images: Images) -> tuple[Invariance, dict[str, Any]]:
    """Score the known pictures in every place, and compare them with the engine's record."""
    manifest, precision = order.engine.manifest, order.options.precision
    with order.trial.running(plan) as predict:
        invariance = measure_invariance(
            predict,
            images,
            order.options.max_batch,
            tolerance=manifest.sentinels.tolerance,
        )
        refuse_drift(invariance, precision)
        known = compare_known_pictures(order.engine, precision, predict, images)
    return invariance, known


def build_plan_of(options: BuildOptions, tell: Callable[[str], None], progress: Progress) -> str:
    """Build a plan, or find it; give what there is to say about it.

    Raises
    ------
    HambatchError
        If there is no engine, no GPU or no TensorRT, or the plan cannot be built or is refused.
    """
    engine = load_engine(find_engine(options.engine))
    return describe(deliver(order_of(engine, options), tell, progress))


def order_of(engine: Engine, options: BuildOptions) -> Order:
    """Put an order together for a GPU of this machine.

    Raises
    ------
    HambatchError
        If there is no such GPU, or no TensorRT.
    """
    target = find_target(options.device)
    return Order(engine, options, target, GpuTrial(options.device, engine.manifest))


def describe(plan: KeptPlan) -> str:
    """Name the plan, and how it was tried."""
    record, invariance = plan.record, plan.record.invariance
    known, sizes = record.known_pictures, ", ".join(map(str, invariance.batch_sizes))
    lines = [
        f"{record.file}: tensorrt-{record.key.precision} of {record.engine} for {record.key.gpu}, "
        f"{record.size_bytes / 1e6:.1f} MB, built {record.built} in {record.seconds:.0f} s",
        f"  the same image in other slots and batches of {sizes}: probabilities differ by at most "
        f"{invariance.max_difference:.1e}",
    ]
    if known:
        lines.append(
            f"  {known['images']} known pictures are within {known['max_difference']:.1e} of the "
            f"engine's record (tolerance {known['tolerance']:.0e})"
        )
    if record.conversion:
        differ = record.conversion["values"]["max_difference"]
        lines.append(f"  rounding to FP16 alone moves a probability of theirs by {differ:.1e}")
    return "\n".join(lines)


def kept_plan_for(engine: Engine, precision: str, max_batch: int, ordinal: int) -> "KeptPlan":
    """Give the kept plan to run on the GPU of that number, proven whole; nothing is built.

    What ``hambatch build`` built with the same precision and ``--max-batch``, and no other
    option, is found.

    Raises
    ------
    BackendError
        If none is kept that may be used: it says why, and the command that builds it.
    HambatchError
        As :func:`hambatch.backends.tensorrt.plans.build.find_kept` and
        :func:`hambatch.backends.tensorrt.library.find_target` say.
    """
    from hambatch.backends.tensorrt.options import BuildOptions

    options = BuildOptions(precision=precision, max_batch=max_batch, device=ordinal)
    return find_kept(order_of(engine, options))


def ensure_plan(engine: Engine, precision: str, gpu: Gpu, request_size: int = REQUEST_SIZE) -> None:
    """See to it that the plan of a run on that GPU is kept; building one takes minutes.

    The builder's own words go to this process's stderr, why it builds among them.

    Raises
    ------
    HambatchError
        If there is no TensorRT, or no plan could be built.
    """
    try:
        kept_plan_for(engine, precision, request_size, gpu.ordinal)
    except BackendError:
        wanted = {"precision": precision, "max_batch": request_size, "device": gpu.ordinal}
        _build_apart(engine, BuildOptions(**wanted))  # type: ignore[arg-type]


def _build_apart(engine: Engine, options: BuildOptions) -> None:
    # Whatever becomes of the builder, and of the memory that it takes, this process goes on.
    wanted = [f"--precision={options.precision}", f"--max-batch={options.max_batch}"]
    build = ["build", *wanted, f"--device={options.device}", "--", str(engine.folder)]
    command = [sys.executable, "-P", "-m", "hambatch", *build]
    code = subprocess.run(command, check=False).returncode  # noqa: S603
    if code:
        how = f"exit code {code}" if code > 0 else f"signal {-code}"
        raise BackendError(
            f"the {options.precision} plan of {engine.manifest.name} could not be built ({how}); "
            f"it says why above.\nNext: {build_command(engine, options)}"
        )
