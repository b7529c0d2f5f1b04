"""The ways to score on this machine: a decoder and a backend in one precision, and its runs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec

from hambatch.backends.keras_network import WEIGHTS_NAME
from hambatch.backends.tensorrt.requests import REQUEST_SIZE
from hambatch.checks.options import ParityOptions
from hambatch.engines.backend_names import AUTO, FP32, OF_BACKEND, USED, graph_precision
from hambatch.engines.loading import Engine
from hambatch.engines.precision import refuse_without_bfloat16
from hambatch.errors import BackendError, HambatchError
from hambatch.pipelines.decode import has_dali
from hambatch.scoring.device_names import CPU
from hambatch.scoring.options import ScoreOptions
from hambatch.scoring.plan import ON_CPU, ON_GPU, Placement, place
from hambatch.scoring.rows import predict_images
from hambatch.sources.entry import Entry
from hambatch.sources.source import Sources
from hambatch.system.cpu import share_cores
from hambatch.system.gpus import Gpu
from hambatch.system.text import plural
from hambatch.types import Row

KERAS = "keras"

HEAD = {"hidden_units", "dropout"}
"""What ``training`` of ``engine.json`` must say for the network to be built again."""

USUAL = "as usual"

Outcome = list[Row] | HambatchError
"""Rows in the order of the names, or why there are none."""


@dataclass(frozen=True)
class ScoringPath:
    """A decoder and a backend in one precision; ``options`` score by them.

    ``why_not`` says why it is not taken, and ``next`` what to type then; empty if it is taken.
    ``other_gpus`` have to give the rows of the first one.
    """

    name: str
    backend: str
    precision: str
    device: str
    options: ScoreOptions
    why_not: str = ""
    next: str = ""
    other_gpus: tuple[int, ...] = ()

    @property
    def taken(self) -> bool:
        """Whether it can be taken here."""
        return not self.why_not


def reference_path(engine: Engine) -> ScoringPath:
    """FP32 by OpenVINO on the CPU: what every machine has."""
    return _on_cpu(engine, ON_CPU, FP32)


def other_paths(engine: Engine, options: ParityOptions) -> list[ScoringPath]:
    """Name every path of the wanted precisions, whether it can be taken or not.

    Raises HambatchError if ``device`` cannot be used; or if no path can be taken on an explicit
    device, or in an explicit precision.
    """
    placement = place(options.device, AUTO)
    wanted = USED if options.precision == AUTO else (options.precision,)
    paths = [_cheaper(engine, one) for one in OF_BACKEND[ON_CPU] if one in wanted and one != FP32]
    paths += [_keras(engine)] if FP32 in wanted else []
    on_gpu = [
        _on_gpu(engine, options.device, placement, precision)
        for precision in OF_BACKEND[ON_GPU]
        if precision in wanted
    ]
    if placement.gpus and options.device != AUTO:
        _refuse_none(on_gpu, f"on {placement.named}")
    if options.precision not in (AUTO, FP32):
        _refuse_none([*paths, *on_gpu], f"in {options.precision}")
    return [*paths, *on_gpu]


def _on_cpu(engine: Engine, backend: str, precision: str) -> ScoringPath:
    options = ScoreOptions.on_cpu(
        engine=str(engine.folder),
        backend=backend,
        precision=precision,
        force=True,
        calibration=False,
    )
    decoder = "dali-cpu" if has_dali() else "pillow"
    return ScoringPath(f"{decoder}+{backend}-{precision}", backend, precision, CPU, options)


def _cheaper(engine: Engine, precision: str) -> ScoringPath:
    path = _on_cpu(engine, ON_CPU, precision)
    if lacking := _lacking(engine, graph_precision(precision)):
        return replace(path, why_not=lacking)
    try:
        refuse_without_bfloat16(precision)
    except BackendError as error:
        return replace(path, why_not=str(error).partition("\n")[0])
    return path


def _keras(engine: Engine) -> ScoringPath:
    path = _on_cpu(engine, KERAS, FP32)
    if not (engine.folder / WEIGHTS_NAME).is_file():
        return replace(
            path,
            why_not=f"the engine's folder has no {WEIGHTS_NAME}, which only a training run leaves",
            next="hambatch train --data split.csv --out engines/NAME",
        )
    if WEIGHTS_NAME not in engine.manifest.files:
        return replace(path, why_not=f"engine.json has no sha256 of the engine's {WEIGHTS_NAME}")
    if not engine.manifest.training.keys() >= HEAD:
        return replace(path, why_not="engine.json does not say what head the network has")
    for package in ("tensorflow", "keras"):
        if find_spec(package) is None:
            why_not = f"{package} is not installed"
            return replace(path, why_not=why_not, next="pip install 'hambatch[train]'")
    return path


def _on_gpu(engine: Engine, device: str, placement: Placement, precision: str) -> ScoringPath:
    """Run a plan that ``hambatch build`` has built: none is built here."""
    first, *others = placement.gpus or (None,)
    options = ScoreOptions(
        engine=str(engine.folder),
        device=str(first.ordinal if first else 0),
        backend=ON_GPU,
        precision=precision,
        force=True,
        calibration=False,
    )
    name = f"dali-gpu+{ON_GPU}-{precision}"
    if first is None:
        why_not = "--device cpu" if device == CPU else f"not on a GPU: {placement.why}"
        return ScoringPath(name, ON_GPU, precision, "gpu", options, why_not)
    where = f"gpu {first.ordinal}: {first.name}"
    ordinals = tuple(gpu.ordinal for gpu in others if gpu)
    why_not, next_step = _no_plan(engine, precision, first)
    return ScoringPath(name, ON_GPU, precision, where, options, why_not, next_step, ordinals)


def _no_plan(engine: Engine, precision: str, gpu: Gpu) -> tuple[str, str]:
    """Say why there is no TensorRT plan, and what to type then; nothing if there is one."""
    from hambatch.backends.tensorrt.plans.build import kept_plan_for

    if lacking := _lacking(engine, graph_precision(precision)):
        return lacking, ""
    try:
        kept_plan_for(engine, precision, REQUEST_SIZE, gpu.ordinal)
    except HambatchError as error:
        why_not, _, next_step = str(error).partition("\n")
        return why_not, next_step.removeprefix("Next: ")
    return "", ""


def _lacking(engine: Engine, precision: str) -> str:
    graphs = {variant.precision for variant in engine.manifest.variants}
    return "" if precision in graphs else f"the engine has no {precision} graph"


def _refuse_none(paths: Sequence[ScoringPath], where: str) -> None:
    if any(path.taken for path in paths):
        return
    why = "; ".join(f"{path.name}: {path.why_not}" for path in paths)
    why = why or "the precision is one of the CPU alone"
    steps = [path.next for path in paths if path.next]
    next_step = steps[0] if steps else "the same command without --precision and --device"
    raise BackendError(f"nothing can be scored {where}: {why}.\nNext: {next_step}")


@dataclass(frozen=True)
class Run:
    """One pass over the images in a worker; ``backwards``: the last first.

    What a compressed tar holds is read from front to back all the same.
    """

    path: ScoringPath
    name: str
    options: ScoreOptions
    backwards: bool = False

    def rows(self, sources: Sources, entries: Sequence[Entry]) -> list[Row]:
        """Score; rows in the order of the entries, either way."""
        step = -1 if self.backwards else 1
        return predict_images(sources, entries[::step], self.options)[::step]

    def outcome(self, sources: Sources, entries: Sequence[Entry]) -> Outcome:
        """Score, or say why not, so that the other runs still take place."""
        try:
            return self.rows(sources, entries)
        except HambatchError as error:
            return error


def usual_run(path: ScoringPath) -> Run:
    """Score as `hambatch score` does by default."""
    return Run(path, USUAL, path.options)


def varied_runs(path: ScoringPath) -> list[Run]:
    """Change what a row must not depend on: size of the batches, streams, order, the GPU.

    Backwards an image has another position in its batch and in its request.
    """
    runs = []
    for size, streams in ((1, 1), (7, share_cores().streams + 1)):
        options = replace(path.options, batch_size=size, streams=streams)
        runs.append(Run(path, f"batches of {size}, {plural(streams, 'stream')}", options))
    runs.append(Run(path, "backwards", path.options, backwards=True))
    for number in path.other_gpus:
        runs.append(Run(path, f"gpu {number}", replace(path.options, device=str(number))))
    return runs
