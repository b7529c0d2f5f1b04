"""The result of a measurement as one JSON object: every repeat, and what it was measured on."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from statistics import median
from typing import Any

from hambatch import __version__
from hambatch.bench.ceiling import Ceiling
from hambatch.bench.machine import machine_facts
from hambatch.bench.material import Material
from hambatch.bench.options import BenchEngineOptions, BenchPipelineOptions, BenchScoreOptions
from hambatch.bench.percentiles import percentile, samples_needed
from hambatch.bench.rounds import Measured
from hambatch.engines.loading import Engine
from hambatch.run_record import utc_now
from hambatch.versions import library_versions

FORMAT = 1
KIND = "hambatch bench"

PERCENTILES = (50.0, 90.0, 95.0, 99.0)
"""Always reported; the one that is asked for comes on top."""

Options = BenchEngineOptions | BenchPipelineOptions | BenchScoreOptions
Settings = Mapping[str, str | int | float]


def throughput_entry(
    name: str, stage: str, settings: Settings, measured: Measured
) -> dict[str, Any]:
    """Describe a rate: medians, spread, CPU, memory; a whole run's start-up, apart."""
    rates, turns = measured.images_per_s, measured.turns
    entry = {
        "name": name,
        "stage": stage,
        "settings": dict(settings),
        "images": turns[0].images,
        "warmup_images": measured.warmup_images,
        "images_per_s": [round(rate, 3) for rate in rates],
        "median": round(median(rates), 3),
        "min": round(min(rates), 3),
        "max": round(max(rates), 3),
        "cpu_cores": round(median(turn.cpu_cores for turn in turns), 3),
        "peak_rss_mb": round(max(turn.peak_rss_mb for turn in turns), 1),
    }
    starts = [round(turn.start_s, 3) for turn in turns if turn.start_s is not None]
    if starts:
        entry |= {"start_s": starts, "known_pictures": turns[0].known_pictures}
    return entry


def latency_entry(
    name: str, stage: str, settings: Settings, measured: Measured, asked: float
) -> dict[str, Any]:
    """Describe latencies: percentiles of all samples, None where there are too few."""
    repeats = [turn.samples_ms for turn in measured.turns]
    samples = [sample for repeat in repeats for sample in repeat]
    wanted = sorted({*PERCENTILES, asked})
    found = {p: percentile(samples, p) for p in wanted}
    return {
        "name": name,
        "stage": stage,
        "settings": dict(settings),
        "samples": len(samples),
        "warmup_samples": measured.warmup_images // int(settings["batch_size"]),
        "repeats_p50_ms": [round(median(repeat), 4) for repeat in repeats],
        "percentiles_ms": {
            key_of(p): None if value is None else round(value, 4) for p, value in found.items()
        },
        "not_valid": {
            key_of(p): f"needs {samples_needed(p)} samples, has {len(samples)}"
            for p, value in found.items()
            if value is None
        },
        "cpu_cores": round(median(turn.cpu_cores for turn in measured.turns), 3),
        "peak_rss_mb": round(max(turn.peak_rss_mb for turn in measured.turns), 1),
    }


def key_of(p: float) -> str:
    """Write a percentile as a key: ``99``, ``99.9``."""
    return f"{p:g}"


def document(
    what: str,
    engine: Engine,
    material: Material,
    options: Options,
    throughput: Sequence[dict[str, Any]],
    verdict: str,
    latency: Sequence[dict[str, Any]] = (),
    ceiling: Ceiling | None = None,
    gpu: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Put a result together; of several entries of a stage, its best is the stage's rate.

    ``gpu`` is what :func:`hambatch.bench.devices.gpu_facts` says of the one that was measured.
    """
    stages: dict[str, float] = {}
    for entry in throughput:
        stages[entry["stage"]] = max(entry["median"], stages.get(entry["stage"], 0.0))
    return {
        "format": FORMAT,
        "kind": KIND,
        "what": what,
        "measured_utc": utc_now(),
        "verdict": verdict,
        "machine": machine_facts() | dict(gpu or {}),
        "versions": library_versions(),
        "hambatch": __version__,
        "engine": {
            "name": engine.manifest.name,
            "version": engine.manifest.version,
            "engine_json_sha256": engine.manifest_sha256,
        },
        "source": dict(material.facts),
        "options": asdict(options),
        "throughput": list(throughput),
        "latency": list(latency),
        "stages": stages,
        "ceiling": ceiling.to_json() if ceiling else None,
    }
