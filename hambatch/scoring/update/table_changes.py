"""What an update changed, in words: the table before and the table now, compared by name.

Both are read side by side, in their order; memory does not grow with their length.
"""

import csv
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from heapq import merge
from itertools import groupby
from pathlib import Path

from hambatch.sources.sorting import CACHE_KIB
from hambatch.system.files import closed_at_the_end
from hambatch.system.text import encode_name, frame_of
from hambatch.types import Row

COLUMNS = (
    *("image", "change", "before"),
    *("sha256_before", "sha256", "prediction_before", "prediction"),
    *("risk_before", "risk"),
)


@dataclass(frozen=True)
class ChangeCounts:
    """How many images came, went, have other bytes, another name, or another row of the same bytes.

    ``risk_changed``: only the risk or its reason is another one.
    A file of another name is ``moved`` if no file has the old one any more; of a DICOM file of
    several frames each is.
    """

    added: int = 0
    removed: int = 0
    changed: int = 0
    moved: int = 0
    rescored: int = 0
    risk_changed: int = 0


def write_changes(path: Path, before: Iterable[Row], after: Iterable[Row]) -> ChangeCounts:
    """Write a line for every image that differs between two tables; sorted by image.

    Carried cells are not compared. Raises OSError when the file system refuses.
    """
    counts: Counter[str] = Counter()
    with (
        closing(sqlite3.connect("")) as base,
        closed_at_the_end(path.open("w", encoding="utf-8", newline="")) as stream,
    ):
        _compare(base, before, after)
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(COLUMNS)
        for line in base.execute(_SORTED):
            writer.writerow(line)
            counts[line[1]] += 1
    return ChangeCounts(**{word.replace(" ", "_"): count for word, count in counts.items()})


_CHANGES = (
    "CREATE TABLE changes (image TEXT, change TEXT, before TEXT, sha256_before TEXT, sha256 TEXT, "
    "prediction_before TEXT, prediction TEXT, risk_before TEXT, risk TEXT, frame INT)"
)
_INSERT = "INSERT INTO changes VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"

# The first name that went is the first that came with the same bytes.
_GONE = (
    "CREATE TEMP TABLE gone AS SELECT *, row_number() OVER (PARTITION BY sha256_before, frame "
    "ORDER BY image) AS number FROM changes WHERE change = 'removed' AND sha256_before != ''"
)
_CAME = (
    "CREATE TEMP TABLE came AS SELECT *, row_number() OVER (PARTITION BY sha256, frame ORDER BY "
    "image) AS number FROM changes WHERE change = 'added' AND sha256 != ''"
)
_PAIRS = (
    "CREATE TEMP TABLE pairs AS SELECT came.image AS image, gone.image AS before, "
    "gone.sha256_before AS sha256_before, gone.prediction_before AS prediction_before, "
    "gone.risk_before AS risk_before "
    "FROM came JOIN gone ON came.sha256 = gone.sha256_before AND came.frame = gone.frame "
    "AND came.number = gone.number"
)
_MOVED = (
    "UPDATE changes SET change = 'moved', before = pairs.before, "
    "sha256_before = pairs.sha256_before, prediction_before = pairs.prediction_before, "
    "risk_before = pairs.risk_before "
    "FROM pairs WHERE changes.image = pairs.image"
)
_NOT_REMOVED = "DELETE FROM changes WHERE image IN (SELECT before FROM pairs)"
_SORTED = f"SELECT {', '.join(COLUMNS)} FROM changes ORDER BY image"  # noqa: S608 - our own names


def _compare(base: sqlite3.Connection, before: Iterable[Row], after: Iterable[Row]) -> None:
    for setting in ("journal_mode=OFF", "synchronous=OFF", f"cache_size=-{CACHE_KIB}"):
        base.execute(f"PRAGMA {setting}")
    base.execute(_CHANGES)
    base.executemany(_INSERT, _differing(before, after))
    base.execute("CREATE INDEX by_image ON changes (image)")
    for step in (
        _GONE,
        _CAME,
        "CREATE INDEX by_sha256 ON gone (sha256_before, frame, number)",
        _PAIRS,
    ):
        base.execute(step)
    base.execute(_MOVED)
    base.execute(_NOT_REMOVED)


def _differing(before: Iterable[Row], after: Iterable[Row]) -> Iterator[tuple[str | int, ...]]:
    old = ((encode_name(row.image), 0, row) for row in before)
    new = ((encode_name(row.image), 1, row) for row in after)
    for name, sides in groupby(merge(old, new, key=lambda one: one[:2]), key=lambda one: one[0]):
        found = {side: row for _, side, row in sides}
        was, now = found.get(0), found.get(1)
        if change := _change(was, now):
            yield (
                name,
                change,
                "",
                was.sha256 if was else "",
                now.sha256 if now else "",
                was.prediction if was else "",
                now.prediction if now else "",
                was.risk if was else "",
                now.risk if now else "",
                frame_of(name),
            )


def _without_risk(row: Row) -> Row:
    return replace(row, carried=(), risk="", risk_reason="")


def _change(was: Row | None, now: Row | None) -> str:
    """Name what happened to an image; empty if nothing did."""
    if was is None:
        return "added"
    if now is None:
        return "removed"
    if replace(was, carried=()) == replace(now, carried=()):
        return ""
    # Failed rows of earlier tables have no risk: they were scored again with all others.
    if _without_risk(was) == _without_risk(now) and (was.risk or was.status == "ok"):
        return "risk changed"
    # A failed row without a sha256 is of bytes that nobody knows.
    return "rescored" if was.sha256 in ("", now.sha256) else "changed"
