"""A sample of the rows of a table, scored again."""

import random
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from hambatch.checks.verify.table import Difference
from hambatch.engines.backend_names import parse_backend
from hambatch.pipelines.header import NO_IMAGE
from hambatch.scoring.device_names import CPU
from hambatch.scoring.options import ScoreOptions
from hambatch.scoring.plan import ON_CPU, ON_GPU
from hambatch.scoring.rows import predict_images
from hambatch.sources.entry import Entry
from hambatch.sources.source import Sources
from hambatch.types import Row


class ScoredAgain(NamedTuple):
    """What differs, and the widest tolerance that a row was compared with."""

    differences: list[Difference]
    widest: float


@dataclass(frozen=True)
class Tolerance:
    """How far a probability may move: 0 where machine and libraries are those of the run.

    ``other_request_size`` is the least where a GPU, its memory full, had smaller requests.
    """

    usual: float
    other_request_size: float

    def between(self, row: Row, now: Row) -> float:
        """Give the one for a row and the same row scored again."""
        if _differ_in_request_size(row, now):
            return max(self.usual, self.other_request_size)
        return self.usual


OOD_ELSEWHERE = 0.05
"""Relative: how far `ood` may move on another machine, or with other libraries."""


def chosen_seed(seed: int | None) -> int:
    """Give the seed, or one that nobody can know before: a forger would spare those rows."""
    return secrets.randbelow(2**32) if seed is None else seed


def draw(rows: Mapping[str, Row], count: int, seed: int) -> list[Row]:
    """Choose scored rows at random, and as many failed ones; all of a kind if there are fewer."""
    generator = random.Random(seed)  # noqa: S311
    found = []
    for status in ("ok", "failed"):
        of_kind = [row for row in rows.values() if row.status == status]
        places = sorted(generator.sample(range(len(of_kind)), min(count, len(of_kind))))
        found += [of_kind[place] for place in places]
    return found


def score_again(
    sources: Sources,
    sample: list[Row],
    entries: Mapping[str, Entry],
    options: ScoreOptions,
    tolerance: Tolerance,
) -> ScoredAgain:
    """Score the sample's images, whose ``entries`` are by name, and compare whole rows."""
    found, widest = [], tolerance.usual
    for chosen, rows in _by_device(sample, options):
        again = predict_images(sources, [entries[row.image] for row in rows], chosen)
        for row, now in zip(rows, again, strict=True):
            # What a manifest says is not scored; the risk follows from the rest of the row.
            now = replace(now, carried=row.carried, risk=row.risk, risk_reason=row.risk_reason)
            allowed = tolerance.between(row, now)
            widest = max(widest, allowed)
            if _differ_in_request_size(row, now):
                now = replace(now, backend=row.backend)
            if difference := _compare_rows(row, now, allowed):
                found.append(difference)
    return ScoredAgain(found, widest)


def _by_device(
    sample: list[Row], options: ScoreOptions
) -> Iterator[tuple[ScoreOptions, list[Row]]]:
    """Separate the rows that the CPU did for a GPU that failed from the others."""
    handed_over = [
        row for row in sample if options.backend == ON_GPU and row.backend.startswith(ON_CPU)
    ]
    if others := [row for row in sample if row not in handed_over]:
        yield options, others
    if handed_over:
        precision = parse_backend(handed_over[0].backend).precision
        on_cpu = replace(options, device=CPU, backend=ON_CPU, precision=precision, force=True)
        yield on_cpu, handed_over


def _differ_in_request_size(row: Row, now: Row) -> bool:
    """Tell whether only the size of requests differs: ``tensorrt-fp32-b32``, ``tensorrt-fp32``."""
    then, here = (parse_backend(each.backend) for each in (row, now))
    return then[:2] == here[:2] and then != here


def _compare_rows(row: Row, now: Row, tolerance: float) -> Difference | None:
    if row == now:
        return None
    if row.status != now.status:
        return Difference(row.image, "status when scored again", row.status, now.status)
    if row.status == "failed":
        # The wording of a reason belongs to a library's version.
        if tolerance or _named_otherwise(row.reason, now.reason):
            return None
        return Difference(row.image, "reason", row.reason, now.reason)
    then, here = ((*each.probabilities, each.malignant) for each in (row, now))
    off = max(abs(a - b) for a, b in zip(then, here, strict=True))
    if off > tolerance:
        what = f"probabilities when scored again differ by {off:.6f}"
        return Difference(row.image, what, _score(row), _score(now))
    if difference := _compare_checks(row, now, tolerance):
        return difference
    same = replace(now, probabilities=row.probabilities, malignant=row.malignant, ood=row.ood)
    if tolerance or same == row:
        return None
    return Difference(row.image, "how it was scored", _origin(row), _origin(now))


def _compare_checks(row: Row, now: Row, tolerance: float) -> Difference | None:
    """Compare what is said of the image; the engine is the same, so both have it or neither."""
    if row.ood is not None and now.ood is not None:
        allowed = OOD_ELSEWHERE * max(row.ood, 1.0) if tolerance else 0.0
        if abs(row.ood - now.ood) > allowed:
            return Difference(row.image, "ood when scored again", str(row.ood), str(now.ood))
    if row.decoder == now.decoder and row.quality != now.quality:
        return Difference(row.image, "quality when scored again", row.quality, now.quality)
    return None


def _named_otherwise(then: str, now: str) -> bool:
    """Tell whether only the name of what is no image differs: later versions know more names."""
    return all(reason.startswith(NO_IMAGE) for reason in (then, now))


def _score(row: Row) -> str:
    return f"{row.prediction} {max(row.probabilities):.6f}"


def _origin(row: Row) -> str:
    return f"{row.prediction} {row.decoder} {row.backend} {row.sha256}"
