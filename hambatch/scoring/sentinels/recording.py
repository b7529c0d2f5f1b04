"""An engine's record of its sentinels: written when it is made, compared at any time."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hambatch.backends import runtime_of
from hambatch.engines.loading import Engine, load_engine, write_manifest
from hambatch.engines.manifest import Manifest
from hambatch.engines.precision import cheaper_here
from hambatch.engines.probabilities import softmax
from hambatch.engines.sentinels import ELSEWHERE, MeasuredOn, Recorded, Sentinel, Sentinels
from hambatch.engines.synthetic import write_sentinel_images
from hambatch.errors import EngineError
from hambatch.scoring.options import ScoreOptions
from hambatch.scoring.plan import plan_run
from hambatch.scoring.sentinels.watch import watch_of
from hambatch.scoring.worker.protocol import Answer, Job
from hambatch.scoring.worker.supervisor import SupervisedWorker
from hambatch.sources.reading import Item
from hambatch.system.cpu import instruction_set

Known = tuple[tuple[float, ...], str]
"""Seven probabilities, and who decoded the image."""


def record_sentinels(folder: Path, *, same_fp32: bool = False) -> Manifest:
    """Score the sentinels by the path of every other image, and write the answers down.

    Every graph of the engine answers in every precision that this processor computes, FP32 first.
    The sentinels are added to the folder if they are not there; every other file stays.

    Parameters
    ----------
    same_fp32
        Whether the FP32 graph is the one of the record: a machine whose answers are far from
        that record writes no new one, and what is recorded of precisions that it lacks stays.

    Raises EngineError if a file of the folder is not the one that ``engine.json`` names, or a
    sentinel cannot be scored.
    """
    engine = load_engine(folder)
    names = write_sentinel_images(folder)
    first = _recorded(engine, names, "fp32")
    if same_fp32:
        _refuse_far_off(engine.manifest.sentinels, names, first)
    others = cheaper_here(engine.manifest)
    kept = engine.manifest.sentinels.also if same_fp32 else ()
    pairs = zip(names, first.probabilities, strict=True)
    spec = replace(
        engine.manifest.sentinels,
        pictures=tuple(Sentinel(name, known) for name, known in pairs),
        tolerance_elsewhere=first.tolerance_elsewhere,
        measured_on=first.measured_on,
        also=(
            *(_recorded(engine, names, precision) for precision in others),
            *(record for record in kept if record.precision not in others),
        ),
    )
    return write_manifest(folder, replace(engine.manifest, sentinels=spec))


def score_sentinels(engine: Engine, precision: str = "fp32") -> dict[str, Any]:
    """Compare the engine's record with what this machine computes: the summary of a watch.

    Without a record in this precision, the sentinels have to give numbers. What they give is
    kept for the runs on this machine (:mod:`hambatch.scoring.sentinels.own_answers`).
    Raises SentinelError if one is off.
    """
    job = _job(engine, precision)
    with SupervisedWorker(job) as worker:
        worker.wait_ready()
        with watch_of(engine, job, anew=True) as watch:
            # Twice, in two infer requests: what came back equal is kept.
            for _ in range(2):
                for answer in worker.answers(watch.batches([])):
                    watch.check(answer)
            return watch.summary()


def _job(engine: Engine, precision: str) -> Job:
    options = ScoreOptions.on_cpu(engine=str(engine.folder), precision=precision, force=True)
    return plan_run(engine.folder, options).job


def _refuse_far_off(before: Sentinels, names: list[str], now: Recorded) -> None:
    wanted = [sentinel.probabilities for sentinel in before.pictures]
    if [sentinel.file for sentinel in before.pictures] != names:
        return
    largest = float(np.abs(np.subtract(wanted, now.probabilities)).max())
    if not largest <= before.tolerance_elsewhere:
        raise EngineError(
            f"the sentinels are {largest:.1e} from what the fp32 graph gave before, wanted "
            f"at most {before.tolerance_elsewhere:.0e}: this machine computes wrongly.\n"
            "Next: hambatch engines verify, and the same command on another machine"
        )


def _recorded(engine: Engine, names: list[str], precision: str) -> Recorded:
    known, backend = _scored(engine, names, precision)
    return Recorded(
        precision,
        MeasuredOn(backend, known[names[0]][1], instruction_set(), runtime_of(backend)),
        ELSEWHERE.get(precision, _tolerance_elsewhere(engine.manifest)),
        tuple(known[name][0] for name in names),
    )


def _scored(engine: Engine, names: list[str], precision: str) -> tuple[dict[str, Known], str]:
    items = [Item(k, engine.folder / name, sentinel=True) for k, name in enumerate(names)]
    known: dict[str, Known] = {}
    with SupervisedWorker(_job(engine, precision)) as worker:
        for answer in worker.answers([items]):
            known |= _known(answer, names)
        return known, worker.wait_ready().backend


def _known(answer: Answer, names: list[str]) -> dict[str, Known]:
    for failure in answer.failures:
        raise EngineError(
            f"the sentinel {names[failure.index]} cannot be scored: {failure.reason}.\n"
            "Next: hambatch engines verify"
        )
    probabilities = softmax(answer.logits).tolist()
    indices = answer.indices.tolist()
    return {
        names[index]: (tuple(probabilities[slot]), answer.decoders[slot])
        for slot, index in enumerate(indices)
    }


def _tolerance_elsewhere(manifest: Manifest) -> float:
    """Twice what separates the graph from Keras, which holds its weights unrounded.

    For an engine of the published recipe that is less than the 5e-4 that all get: another
    instruction set (SSE4.1, AVX2) moved its sentinels' probabilities by 9e-7, Pillow
    not at all, Keras those of validation images by 9e-5; BF16 by 4e-3 and more.
    """
    stored = [v.parity["fp16_stored"] for v in manifest.variants if "fp16_stored" in v.parity]
    largest = max((float(entry["max_difference"]) for entry in stored), default=0.0)
    return max(Sentinels().tolerance_elsewhere, 2 * largest)
