"""The story of `hambatch engines tune`: what each precision costs and gains on the user's images.

No label is needed: every precision is compared with FP32, image by image.
"""

import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np

from hambatch.bench.engine import unpack
from hambatch.bench.images import BenchImages
from hambatch.bench.inference import Offline, Setting, own_request_size
from hambatch.bench.measuring import Show, take_turns, unseen
from hambatch.bench.report import aligned
from hambatch.checks.options import TuneOptions
from hambatch.checks.parity.comparing import compare_rows, differences
from hambatch.checks.parity.measuring import take_images
from hambatch.checks.parity.results import Taken
from hambatch.engines.backend_names import AUTO, BACKEND_OF_GATES, FP32, INT8, Cheaper
from hambatch.engines.loading import Engine, load_engine
from hambatch.engines.manifest import read_manifest
from hambatch.engines.measurements import LIMITS
from hambatch.engines.precision import cheaper_here, choose_precision
from hambatch.engines.tuned import (
    LEAST_IMAGES,
    MOST_DRIFT,
    Measured,
    Tuning,
    forget_tuning,
    keep_tuning,
    new_tuning,
    tuning_folder,
)
from hambatch.errors import InputError
from hambatch.scoring.options import ScoreOptions
from hambatch.scoring.rows import predict_images
from hambatch.sources.reading_order import in_reading_order
from hambatch.sources.source import Sources, find_sources
from hambatch.system.cpu import share_cores
from hambatch.system.text import encode_name, plural
from hambatch.types import Row

TURNS = 5
"""Of each precision, in turns; one more comes before them, to warm up."""

IMAGES_A_TURN = 128
"""Images whose inference is timed: of FP32, seconds. On many cores some are taken again."""

OF_ALL = 99
"""Percent of the images that :attr:`Measured.drift` is the largest change of."""

Progress = Callable[[Iterable[str], int], Iterable[str]]
"""Wraps the precisions to show how many are scored."""


@dataclass(frozen=True)
class Tuned:
    """What was measured and is kept now; ``left_out`` counts images without scores, by reason."""

    engine: Engine
    taken: Taken
    left_out: Counter[str]
    tuning: Tuning


def tune_engine(
    folder: Path,
    words: Sequence[Path],
    count: int = TuneOptions.count,
    scoring: Progress = unseen,
    turns: Show = unseen,
) -> Tuned:
    """Measure every precision of this processor on at most ``count`` images, and keep the result.

    The images are spread evenly over the sources that ``words`` name; those that cannot be scored
    are left out. Raises InputError if too few are left, or nothing can be kept; EngineError if
    there is nothing to choose from.
    """
    engine = load_engine(folder)
    precisions = cheaper_here(engine.manifest)
    if not precisions:
        engine.manifest.variant(INT8)  # refuses
    sources = find_sources(words)
    with tuning_folder() as place:
        taken = take_images(sources, count)
        refuse_few(len(taken.entries), taken, sources)
        names = iter(scoring((FP32, *precisions), 1 + len(precisions)))
        fp32 = score(engine, next(names), sources, taken)
        good = [row for row in fp32 if row.status == "ok"]
        refuse_few(len(good), taken, sources)
        kept = Taken(taken.of([row.image for row in good]), taken.listed)
        rows = {name: score(engine, name, sources, kept) for name in names}
        rates = measure_rates(engine, (FP32, *precisions), sources, kept, turns)
        found = tuple(compared(name, good, rows[name], rates[name]) for name in precisions)
        tuning = new_tuning(engine.manifest, len(good), rates[FP32], found)
        keep_tuning(place, engine.manifest, tuning)
    left_out = Counter(encode_name(row.reason) for row in fp32 if row.status != "ok")
    return Tuned(engine, taken, left_out, tuning)


def refuse_few(scored: int, taken: Taken, sources: Sources) -> None:
    """Raise InputError if a choice would stand on too few images; it says how many are missing."""
    if scored >= LEAST_IMAGES:
        return
    failed = len(taken.entries) - scored
    others = f" ({plural(failed, 'other')} cannot be scored)" if failed else ""
    more = "a higher --count, or " if taken.listed > len(taken.entries) else ""
    raise InputError(
        f"{sources.named}: {plural(scored, 'image')} to tune with{others}, wanted at least "
        f"{LEAST_IMAGES}: {LEAST_IMAGES - scored} missing.\nNext: {more}name further sources"
    )


def score(engine: Engine, precision: str, sources: Sources, taken: Taken) -> list[Row]:
    """Score as a run does, without calibration; rows in the order of the images."""
    options = ScoreOptions.on_cpu(
        engine=str(engine.folder), precision=precision, force=True, calibration=False
    )
    return predict_images(sources, taken.entries, options)


def compared(
    precision: Cheaper, fp32: Sequence[Row], cheaper: Sequence[Row], images_per_s: float
) -> Measured:
    """Compare the scores of the same images, all of them scored in FP32.

    One that the cheaper precision does not score counts as another label, with the largest drift.
    Raises InputError if a file has changed in between.
    """
    found, drift = compare_rows(fp32, cheaper), np.ones(len(fp32))
    both = [(a, b) for a, b in zip(fp32, cheaper, strict=True) if b.status == "ok"]
    if both:
        drift[: len(both)] = differences(both).max(axis=1)
    return Measured(
        precision=precision,
        label_flips=found.label_flips + found.failed,
        drift=_rounded(np.percentile(drift, OF_ALL, method="inverted_cdf")),
        largest_drift=_rounded(drift.max()),
        images_per_s=images_per_s,
    )


def _rounded(difference: np.floating) -> float:
    return round(float(difference), 6)


def measure_rates(
    engine: Engine, precisions: Sequence[str], sources: Sources, taken: Taken, turns: Show
) -> dict[str, float]:
    """Time inference alone, of images in memory, with the streams of a run: medians of turns."""
    streams, size = share_cores().streams, own_request_size(BACKEND_OF_GATES)
    entries = tuple(entry for _, entry in in_reading_order(enumerate(taken.entries)))
    with tempfile.TemporaryDirectory(prefix="hambatch-tune-") as place:
        images = BenchImages(sources, entries[:IMAGES_A_TURN], Path(place), {})
        pixels = unpack(engine.folder, images)
        tasks = {
            name: Offline(
                engine.folder,
                Setting(BACKEND_OF_GATES, name, size, streams, 1),
                pixels,
                IMAGES_A_TURN,
            )
            for name in precisions
        }
        measured = take_turns(tasks, TURNS, turns)
    return {name: round(median(found.images_per_s), 3) for name, found in measured.items()}


def tuned_text(tuned: Tuned) -> str:
    """Lay out what was measured, the limits, and what runs from now on."""
    manifest, tuning, taken = tuned.engine.manifest, tuned.tuning, tuned.taken
    left = f", {tuned.left_out.total()} of them left out" if tuned.left_out else ""
    choice = choose_precision(manifest, BACKEND_OF_GATES, AUTO)
    return "\n".join(
        [
            f"{manifest.name} {manifest.version} on {len(taken.entries)} of {taken.listed} images"
            f"{left}",
            *(f"  {count} x {reason}" for reason, count in tuned.left_out.most_common()),
            aligned(_table(tuning), right=True),
            f"images/s: inference alone, median of {TURNS} turns; drift: what the probabilities of "
            f"{OF_ALL} in 100 images change by at most",
            f"--precision auto runs {choice.used} on this machine's CPU ({choice.why})",
            "Kept for this machine; hambatch engines tune --forget removes it.",
        ]
    )


def _table(tuning: Tuning) -> list[list[str]]:
    head = ["precision", "images/s", "times fp32", "labels change", "limit", "drift", "limit", ""]
    rows = [[FP32, f"{tuning.images_per_s:.1f}", "1.00", "", "", "", "", ""]]
    for one in tuning.precisions:
        share = 100 * one.label_flips / tuning.images
        rows.append(
            [
                one.precision,
                f"{one.images_per_s:.1f}",
                f"{one.images_per_s / tuning.images_per_s:.2f}",
                f"{one.label_flips} ({share:.1f} %)",
                f"{100 * LIMITS[one.precision].label_flip_share:g} %",
                f"{one.drift:.3f}",
                f"{MOST_DRIFT[one.precision]:g}",
                "within" if tuning.is_within(one.precision) else "beyond",
            ]
        )
    return [head, *rows]


def forget_choice(folder: Path) -> str:
    """Remove what is kept for an engine on this machine; says what runs from now on."""
    manifest = read_manifest(folder)
    found = "is removed" if forget_tuning(manifest) else "was not there"
    choice = choose_precision(manifest, BACKEND_OF_GATES, AUTO)
    return (
        f"{manifest.name}: what engines tune kept on this machine {found}; "
        f"--precision auto runs {choice.used} here ({choice.why})"
    )
