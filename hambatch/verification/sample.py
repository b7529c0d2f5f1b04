"""A sample of rows scored again, and whether engine and machine still say the same."""

import random
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from hambatch.batches import Row
from hambatch.config import ScoreOptions
from hambatch.engines.sentinel_spec import precision_of
from hambatch.placement import CPU, ON_CPU, ON_GPU
from hambatch.prediction import predict_files
from hambatch.verification.differences import Difference


def draw(rows: Mapping[str, Row], count: int, seed: int) -> list[Row]:
    """Choose rows at random, in the order of the table; all of them if there are fewer."""
    names = list(rows)
    places = sorted(random.Random(seed).sample(range(len(names)), min(count, len(names))))  # noqa: S311
    return [rows[names[place]] for place in places]


class ScoredAgain(NamedTuple):
    """What differs, and the widest tolerance that a row was compared with."""

    differences: list[Difference]
    tolerance: float


def score_again(
    root: Path, sample: list[Row], options: ScoreOptions, tolerance: float, drift: float
) -> ScoredAgain:
    """Score the sample's files and compare whole rows.

    Parameters
    ----------
    tolerance
        Of any probability; 0 where machine and libraries are those of the run.
    drift
        The same, at least, where a GPU whose memory was full had smaller requests, then or now.
    """
    found, widest = [], tolerance
    for how, rows in _by_device(sample, options):
        again = predict_files(root, [row.image for row in rows], how, anywhere=False)
        for row, now in zip(rows, again, strict=True):
            resized = _differ_in_size(row, now)
            allowed = max(tolerance, drift) if resized else tolerance
            widest = max(widest, allowed)
            here = replace(now, backend=row.backend) if resized else now
            difference = _compare(row, here, allowed)
            found += [difference] if difference else []
    return ScoredAgain(found, widest)


def _differ_in_size(row: Row, now: Row) -> bool:
    """Tell ``tensorrt-fp32-b32`` from ``tensorrt-fp32``, but not from ``tensorrt-fp16``."""
    then, here = (each.backend.split("-") for each in (row, now))
    return then[:2] == here[:2] and then != here


def _by_device(sample: list[Row], options: ScoreOptions) -> list[tuple[ScoreOptions, list[Row]]]:
    """Part the rows that the CPU did for a GPU that failed from the others."""
    handed_over = [
        row for row in sample if options.backend == ON_GPU and row.backend.startswith(ON_CPU)
    ]
    others = [row for row in sample if row not in handed_over]
    parts = [(options, others)]
    if handed_over:
        precision = precision_of(handed_over[0].backend)
        on_cpu = replace(options, device=CPU, backend=ON_CPU, precision=precision, force=True)
        parts.append((on_cpu, handed_over))
    return [(how, rows) for how, rows in parts if rows]


def _compare(row: Row, now: Row, tolerance: float) -> Difference | None:
    if row == now:
        return None
    if row.status != now.status:
        return Difference(row.image, "status when scored again", row.status, now.status)
    if row.status == "failed":
        # The wording of a reason belongs to a library's version.
        return Difference(row.image, "reason", row.reason, now.reason) if not tolerance else None
    off = _farthest(row, now)
    if off > max(tolerance, 0):
        what = f"probabilities when scored again differ by {off:.6f}"
        return Difference(row.image, what, _shown(row), _shown(now))
    same = replace(now, probabilities=row.probabilities, malignant=row.malignant)
    if tolerance or same == row:
        return None
    return Difference(row.image, "how it was scored", _how(row), _how(now))


def _farthest(row: Row, now: Row) -> float:
    pairs = zip(
        (*row.probabilities, row.malignant), (*now.probabilities, now.malignant), strict=True
    )
    return max(abs(a - b) for a, b in pairs)


def _shown(row: Row) -> str:
    return f"{row.prediction} {max(row.probabilities):.6f}"


def _how(row: Row) -> str:
    return f"{row.prediction} {row.decoder} {row.backend} {row.sha256}"
