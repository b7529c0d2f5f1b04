"""The story of `hambatch build`: the plan that is kept, or one that is built, tried and kept."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from shlex import quote
from typing import Any

from hambatch.config import BuildOptions
from hambatch.engines.loading import Engine
from hambatch.engines.store import engines_folder, installed_engines
from hambatch.errors import BackendError
from hambatch.hashing import sha256_of_bytes
from hambatch.plans.building import FORM, Built, Recipe, build_plan
from hambatch.plans.cache import KeptPlan, NoPlan, PlanCache, plan_cache
from hambatch.plans.graph import graph_of, source_of
from hambatch.plans.invariance import Images, Invariance, measure_invariance, refuse_drift
from hambatch.plans.key import PlanKey
from hambatch.plans.known_pictures import compare_known_pictures, decode_known_pictures
from hambatch.plans.monitor import Progress
from hambatch.plans.record import PlanRecord
from hambatch.plans.running import Trial
from hambatch.plans.tensorrt_module import Target
from hambatch.private_cache import key_of

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
