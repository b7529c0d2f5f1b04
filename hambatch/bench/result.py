"""What a result of `hambatch bench` holds, and where it is written."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from statistics import median
from typing import Any

from hambatch.bench.ceiling import Ceiling
from hambatch.bench.images import BenchImages
from hambatch.bench.machine import measured_with
from hambatch.bench.measuring import Case, Measured
from hambatch.bench.options import BenchEngineOptions, BenchPipelineOptions, BenchScoreOptions
from hambatch.engines.loading import Engine
from hambatch.errors import InputError
from hambatch.scoring.record import utc_now
from hambatch.system.files import refusing, write_json
from hambatch.system.plotting import require_matplotlib

CONFIDENCE = 0.99
"""Confidence that a percentile lies inside what was sampled."""

PERCENTILES = (50.0, 90.0, 95.0, 99.0)
"""Always reported, together with the one of ``--percentile``."""


def samples_needed(percentile: float, confidence: float = CONFIDENCE) -> int:
    """Count the samples whose largest is above the percentile, with that confidence.

    Free of any distribution: all of ``n`` independent samples are below the
    percentile with the chance ``(percentile / 100) ** n``. For 99 %: p50 needs 7,
    p90 44, p95 90, p99 459.

    MLPerf's LoadGen is stricter by one sample for its single-stream scenario: its
    early-stopping estimate wants the *second* largest above the percentile, so 64
    for p90 and 662 for p99, and reports that bound instead of the percentile [1]_.
    Here the percentile itself is reported, and left out with fewer than these.

    Raises ValueError if the percentile is not within 0 and 100, or the confidence within 0 and 1.

    References
    ----------
    .. [1] https://github.com/mlcommons/inference/blob/master/loadgen/early_stopping.cc
    """
    if not 0 < percentile < 100:
        raise ValueError(f"percentile {percentile}, wanted more than 0 and less than 100")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence {confidence}, wanted more than 0 and less than 1")
    return math.ceil(math.log1p(-confidence) / math.log(percentile / 100))


def percentile(samples_ms: Sequence[float], p: float) -> float | None:
    """Estimate a percentile, 0 < p < 100; None with fewer than :func:`samples_needed`.

    The nearest rank: the smallest sample that ``p`` percent of the samples do not
    exceed. It is always a latency that was measured, never one between two.
    """
    if len(samples_ms) < samples_needed(p):
        return None
    # In fractions: 99.9 / 100 * 1000 is a little over 999 in binary.
    rank = math.ceil(Fraction(str(p)) / 100 * len(samples_ms))
    return float(sorted(samples_ms)[rank - 1])


def throughput_entry(case: Case, measured: Measured) -> dict[str, Any]:
    """Describe a rate: medians, spread, CPU, memory; of a whole run also its start-up."""
    rates, turns = measured.images_per_s, measured.turns
    entry = _what(case) | {
        "images": turns[0].images,
        "warmup_images": measured.warmup_images,
        "images_per_s": [round(rate, 3) for rate in rates],
        "median": round(median(rates), 3),
        "min": round(min(rates), 3),
        "max": round(max(rates), 3),
    }
    entry |= _load(measured)
    starts = [round(turn.start_s, 3) for turn in turns if turn.start_s is not None]
    return entry | ({"start_s": starts, "known_pictures": turns[0].sentinels} if starts else {})


def latency_entry(case: Case, measured: Measured, extra: float) -> dict[str, Any]:
    """Describe latencies: percentiles of all samples, None where there are too few.

    ``extra`` is a percentile to report besides :data:`PERCENTILES`.
    """
    repeats = [turn.samples_ms for turn in measured.turns]
    samples = [sample for repeat in repeats for sample in repeat]
    found = {p: percentile(samples, p) for p in sorted({*PERCENTILES, extra})}
    entry = _what(case) | {
        "samples": len(samples),
        "warmup_samples": measured.warmup_images // int(case.settings["batch_size"]),
        "repeats_p50_ms": [round(median(repeat), 4) for repeat in repeats],
        "percentiles_ms": {
            key_of(p): None if value is None else round(value, 4) for p, value in found.items()
        },
        "not_valid": {
            key_of(p): f"needs {samples_needed(p)} samples, has {len(samples)}"
            for p, value in found.items()
            if value is None
        },
    }
    return entry | _load(measured)


def _what(case: Case) -> dict[str, Any]:
    return {"name": case.name, "stage": case.stage, "settings": dict(case.settings)}


def _load(measured: Measured) -> dict[str, float]:
    return {
        "cpu_cores": round(median(turn.cpu_cores for turn in measured.turns), 3),
        "peak_rss_mb": round(max(turn.peak_rss_mb for turn in measured.turns), 1),
    }


def key_of(p: float) -> str:
    """Write a percentile as a key: ``99``, ``99.9``."""
    return f"{p:g}"


def document(
    what: str,
    engine: Engine,
    images: BenchImages,
    options: BenchEngineOptions | BenchPipelineOptions | BenchScoreOptions,
    throughput: Sequence[dict[str, Any]],
    verdict: str,
    latency: Sequence[dict[str, Any]] = (),
    ceiling: Ceiling | None = None,
    gpu: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Put a result together; of several entries of a stage, its best is the stage's rate.

    ``gpu`` comes from :func:`hambatch.bench.machine.gpu_facts`, where one was measured.
    """
    stages: dict[str, float] = {}
    for entry in throughput:
        stages[entry["stage"]] = max(entry["median"], stages.get(entry["stage"], 0.0))
    return {
        "format": 1,
        "kind": "hambatch bench",
        "what": what,
        "measured_utc": utc_now(),
        "verdict": verdict,
        **measured_with(engine, gpu),
        "source": images.facts,
        "options": asdict(options),
        "throughput": list(throughput),
        "latency": list(latency),
        "stages": stages,
        "ceiling": ceiling.to_json() if ceiling else None,
    }


def check_outputs(out: Path | None, plots: Path | None) -> None:
    """Refuse before any measuring what could not be written after it.

    Raises
    ------
    InputError
        If a folder is missing or a file.
    MissingDependency
        If there are plots to draw, and nothing to draw them with.
    """
    if out is not None and (out.is_dir() or not out.absolute().parent.is_dir()):
        found = "is a folder" if out.is_dir() else "is in no folder that exists"
        raise InputError(
            f"{out} {found}, wanted a file to write.\n"
            "Next: --out RESULT.json, in an existing folder"
        )
    if plots is not None:
        require_matplotlib("matplotlib", "--plots")
        with refusing(plots):
            plots.mkdir(parents=True, exist_ok=True)


def write_outputs(result: dict[str, Any], out: Path | None, plots: Path | None) -> list[Path]:
    """Write the result and its plots; give the paths that were written."""
    written = []
    if out is not None:
        write_json(out, result)
        written.append(out)
    if plots is not None:
        from hambatch.bench.plots import write_plots

        written += write_plots(result, plots)
    return written
