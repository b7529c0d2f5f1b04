"""Where a result goes; whether it can is known before anything is measured."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from statistics import median
from typing import Any

from hambatch import __version__
from hambatch.bench.machine import machine_facts
from hambatch.bench.material import Material
from hambatch.bench.measuring import Measured
from hambatch.bench.options import BenchEngineOptions, BenchPipelineOptions, BenchScoreOptions
from hambatch.engines.loading import Engine
from hambatch.errors import InputError
from hambatch.score.record import utc_now
from hambatch.system.files import refusing, write_json
from hambatch.system.packages import library_versions, require

CONFIDENCE = 0.99
"""How sure it has to be that a percentile lies inside what was sampled."""


def samples_needed(percentile: float, confidence: float = CONFIDENCE) -> int:
    """Count the samples whose largest is above the percentile, with that confidence.

    Free of any distribution: all of ``n`` independent samples are below the
    percentile with the chance ``(percentile / 100) ** n``. For 99 %: p50 needs 7,
    p90 44, p95 90, p99 459.

    MLPerf's LoadGen is stricter by one sample for its single-stream scenario: its
    early-stopping estimate wants the *second* largest above the percentile, so 64
    for p90 and 662 for p99, and reports that bound instead of the percentile [1]_.
    Here the percentile itself is reported, and left out with fewer than these.

    Raises
    ------
    ValueError
        If the percentile is not within 0 and 100, or the confidence within 0 and 1.

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
    """Estimate a percentile; None with fewer than :func:`samples_needed`.

    The nearest rank: the smallest sample that ``p`` percent of the samples do not
    exceed. It is always a latency that was measured, never one between two.

    Parameters
    ----------
    samples_ms
        Latencies in milliseconds, in any order.
    p
        0 < p < 100.
    """
    if len(samples_ms) < samples_needed(p):
        return None
    # In fractions: 99.9 / 100 * 1000 is a little over 999 in binary.
    rank = math.ceil(Fraction(str(p)) / 100 * len(samples_ms))
    return float(sorted(samples_ms)[rank - 1])


ADDED = "1 / (1/decode + 1/inference)"


LOWER = "min(decode, inference)"


BETWEEN = "min(decode, inference, cores / (decode_cores/decode + inference_cores/inference))"


ON_THE_CORES = ("openvino", "keras")
"""Backends that compute on the cores that decode; others have a device of their own."""


READING_BOUND = 1.1
"""Decoding that is hardly slower than reading waits for the disk."""


@dataclass(frozen=True)
class Cores:
    """How many there are, and how many each stage keeps busy when it is alone."""

    count: int
    decode: int
    inference: int
    shared: bool = True

    @property
    def formula(self) -> str:
        """How the ceiling is computed."""
        if not self.shared or self.decode + self.inference <= self.count:
            return LOWER
        return ADDED if self.decode == self.inference == self.count else BETWEEN

    def ceiling(self, decode: float, inference: float) -> float:
        """Compute the ceiling from both rates, in images/s.

        On the same cores, CPU seconds an image add up; where each stage alone
        takes all of them, that is ``1 / (1/decode + 1/inference)``.
        """
        lower = min(decode, inference)
        if self.formula == LOWER:
            return lower
        return min(lower, self.count / (self.decode / decode + self.inference / inference))


@dataclass(frozen=True)
class Ceiling:
    """The ceiling and what it is made of.

    ``share`` is the median of the shares, each taken within one round;
    ``share_with_known`` counts known pictures as if they were images;
    ``gain`` is what the ceiling would rise to, as a ratio, if the stage that
    does not bind cost nothing.
    """

    images_per_s: float
    formula: str
    share: float
    share_with_known: float
    bound_by: str
    gain: float

    def to_json(self) -> dict[str, Any]:
        """Give the part of the result."""
        return {
            "images_per_s": round(self.images_per_s, 3),
            "formula": self.formula,
            "share_of_ceiling": round(self.share, 4),
            "share_with_known_pictures": round(self.share_with_known, 4),
            "bound_by": self.bound_by,
            "gain_if_the_other_were_free": round(self.gain, 4),
        }


def find_ceiling(
    cores: Cores,
    read: Sequence[float],
    decode: Sequence[float],
    inference: Sequence[float],
    score: Sequence[float],
    known: float = 0.0,
) -> Ceiling:
    """Compare a run's rate with its stages', round by round; all in images/s.

    Parameters
    ----------
    known
        Known pictures that the run scored, for each image.
    """
    pairs = list(zip(decode, inference, strict=True))
    ceilings = [cores.ceiling(d, i) for d, i in pairs]
    ceiling, d, i = median(ceilings), median(decode), median(inference)
    # With the other stage gone, the one that binds reaches what it reaches alone.
    gains = [min(pair) / c for pair, c in zip(pairs, ceilings, strict=True)]
    bound_by = "inference"
    if d < i:
        bound_by = "read" if median(read) < READING_BOUND * d else "decode"
    shares = [s / c for s, c in zip(score, ceilings, strict=True)]
    share = median(shares)
    return Ceiling(ceiling, cores.formula, share, share * (1 + known), bound_by, median(gains))


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

    ``gpu`` is what :func:`hambatch.bench.machine.gpu_facts` says of the one that was measured.
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


def check_outputs(out: Path | None, plots: Path | None) -> None:
    """Refuse what could not be written after minutes of measuring.

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
        require("matplotlib", extra="plot", purpose="--plots")
        with refusing(plots):
            plots.mkdir(parents=True, exist_ok=True)


def write_outputs(result: dict[str, Any], out: Path | None, plots: Path | None) -> list[Path]:
    """Write the result and its plots; names what was written."""
    written = []
    if out is not None:
        write_json(out, result)
        written.append(out)
    if plots is not None:
        from hambatch.bench.plots import write_plots

        written += write_plots(result, plots)
    return written
