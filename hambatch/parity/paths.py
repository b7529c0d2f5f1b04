"""The paths from a file to a row that are compared, and why some cannot be taken here.

No calibration is applied: the tolerances are of what the graphs themselves give.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec

from hambatch.backends.keras_reference import WEIGHTS_NAME
from hambatch.backends.tensorrt_gpu import REQUEST_SIZE
from hambatch.config import ParityOptions, ScoreOptions
from hambatch.engines.choice import AUTO, FP32, INT8, USED, graph_precision
from hambatch.engines.loading import Engine
from hambatch.errors import BackendError, HambatchError
from hambatch.gpu.probe import Gpu
from hambatch.pipelines.platform import has_dali
from hambatch.placement import CPU, ON_CPU, ON_GPU, Placement, place

KERAS = "keras"

HEAD = {"hidden_units", "dropout"}
"""What ``training`` of ``engine.json`` must say for the network to be built again."""


@dataclass(frozen=True)
class ScoringPath:
    """A decoder and a backend in one precision; ``options`` score by them.

    ``why_not`` says why it is not taken, and ``next`` what to type then; empty if it is taken.
    ``other_gpus`` are those that are to give the rows of the first one.
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

    Raises
    ------
    HambatchError
        If the device that is asked for is not there; or if no path of the device or the
        precision that are asked for can be taken.
    """
    placement = place(options.device, AUTO)
    wanted = USED if options.precision == AUTO else (options.precision,)
    paths = [_int8_on_cpu(engine)] if INT8 in wanted else []
    paths += [_keras(engine)] if FP32 in wanted else []
    on_gpu = [_on_gpu(engine, options.device, placement, precision) for precision in wanted]
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


def _int8_on_cpu(engine: Engine) -> ScoringPath:
    return replace(_on_cpu(engine, ON_CPU, INT8), why_not=_lacking(engine, INT8))


def _keras(engine: Engine) -> ScoringPath:
    path = _on_cpu(engine, KERAS, FP32)
    if not (engine.folder / WEIGHTS_NAME).is_file():
        return replace(
            path,
            why_not=f"the engine's folder has no {WEIGHTS_NAME}, which only a training run leaves",
            next="hambatch train --data split.csv --out engines/NAME",
        )
    if not engine.manifest.training.keys() >= HEAD:
        return replace(path, why_not="engine.json does not say what head the network has")
    for package in ("tensorflow", "keras"):
        if find_spec(package) is None:
            why_not = f"{package} is not installed"
            return replace(path, why_not=why_not, next="pip install 'hambatch[train]'")
    return path


def _on_gpu(engine: Engine, device: str, placement: Placement, precision: str) -> ScoringPath:
    """Run what ``hambatch build`` has built: nothing is built here."""
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
    path = ScoringPath(name, ON_GPU, precision, where, options, other_gpus=ordinals)
    return _with_plan(path, engine, first)


def _with_plan(path: ScoringPath, engine: Engine, gpu: Gpu) -> ScoringPath:
    from hambatch.plans import kept_plan_for

    lacking = _lacking(engine, graph_precision(path.precision))
    if lacking:
        return replace(path, why_not=lacking)
    try:
        kept_plan_for(engine, path.precision, REQUEST_SIZE, gpu.ordinal)
    except HambatchError as error:
        why_not, _, next_step = str(error).partition("\n")
        return replace(path, why_not=why_not, next=next_step.removeprefix("Next: "))
    return path


def _lacking(engine: Engine, precision: str) -> str:
    graphs = {variant.precision for variant in engine.manifest.variants}
    return "" if precision in graphs else f"the engine has no {precision} graph"


def _refuse_none(paths: Sequence[ScoringPath], where: str) -> None:
    if any(path.taken for path in paths):
        return
    why = "; ".join(f"{path.name}: {path.why_not}" for path in paths)
    steps = [path.next for path in paths if path.next]
    next_step = steps[0] if steps else "the same command without --precision and --device"
    raise BackendError(f"nothing can be scored {where}: {why}.\nNext: {next_step}")
