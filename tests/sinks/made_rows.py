"""Rows of every kind, generated and seeded."""

import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from itertools import repeat
from pathlib import Path

import numpy as np

from hambatch.engines.classes import CLASSES
from hambatch.risk.decision import decided
from hambatch.sinks.dicom_report import ScoredWith
from hambatch.sinks.dicom_sr_table import Reporting
from hambatch.sinks.formats import open_table
from hambatch.types import Row

NAMES = (
    "a/plain.jpg",
    "=1+1.jpg",
    "b;-2.png",
    'quoted "name", with comma.jpg',
    os.fsdecode(b"caf\xe9\n2.jpg"),
    "%41 50%.jpg",
    "日本/naïve.jpg",
    "NA",
    "null.jpg",
    "1e5",
)


def random_rows(count: int, seed: int = 3) -> list[Row]:
    """Rows like a run's: every third failed, one certain to six decimals, one nearly."""
    rng = np.random.default_rng(seed)
    names = [*NAMES, *(f"part/{k:07d}.jpg" for k in range(count))][:count]
    return [
        _failed(name, k) if k % 3 == 2 else _scored(name, k, rng) for k, name in enumerate(names)
    ]


def _scored(name: str, k: int, rng: np.random.Generator) -> Row:
    p = tuple(np.round(rng.dirichlet([0.5] * len(CLASSES)), 6).tolist())
    if k < 2:
        p = ((1.0, 0.0), (0.999999, 1e-06))[k] + (0.0,) * 5
    row = Row(
        name,
        "ok",
        prediction=CLASSES[p.index(max(p))],
        probabilities=p,
        malignant=round(min(p[0] + p[1] + p[4], 1.0), 6),
        decoder=("dali-cpu", "pillow")[k % 2],
        backend="openvino-fp32",
        sha256=hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest(),
        ood=round(k * 0.137, 3),
        quality=("", "dark", "blurred colour")[k // 2 % 3],
    )
    return decided(row, {})


def _failed(name: str, k: int) -> Row:
    reasons = ("empty file", '=cmd|"x"', "two\nlines; -1", os.fsdecode(b"cannot read \xff, %20"))
    digest = "ab" * 32 if k % 2 else ""
    return decided(Row(name, "failed", sha256=digest, reason=reasons[k // 3 % 4]), {})


def write_rows(path: Path, kind: str, rows: Iterable[Row], carried: Sequence[str] = ()) -> Path:
    """Write a table; give back its path."""
    with opened(path, kind, carried) as write:
        for row in rows:
            write(row)
    return path


def opened(
    path: Path, kind: str, carried: Sequence[str] = ()
) -> AbstractContextManager[Callable[[Row], None]]:
    """Open a table of any format; its reports, if any, are of no engine's."""
    made = datetime(2026, 7, 1, 22, 30, 5, tzinfo=UTC)
    scored_with = ScoredWith("made-up", "1.2", "a1" * 32, "b2" * 32)
    return open_table(path, kind, carried, Reporting(scored_with, made, repeat(0)))
