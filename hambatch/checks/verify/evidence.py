"""What is checked of a table: its form, its files, and a sample of its rows scored again."""

import csv
import io
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from hambatch.engines.sentinels import precision_of
from hambatch.score.options import ScoreOptions
from hambatch.score.plan import CPU, ON_CPU, ON_GPU
from hambatch.score.rows import predict_files
from hambatch.sinks.columns import MalformedTable, refusing_malformed
from hambatch.sinks.formats import read_rows_leniently
from hambatch.sources.reading import Bounds, Fetched, Item, Limits, fetch
from hambatch.system.files import sha256_of_file
from hambatch.system.text import decode_name, encode_name
from hambatch.types import Row


@dataclass(frozen=True)
class Difference:
    """One thing that is not as the table says.

    ``image`` is empty for what concerns the whole table. All is as it is, not
    encoded: a name has surrogate escapes for bytes that are no text.
    """

    image: str
    what: str
    in_table: str = ""
    found: str = ""


def as_csv(differences: Iterable[Difference]) -> str:
    """Write differences as CSV with a header; every cell encoded once, as in the table."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("image", "difference", "in_table", "found"))
    writer.writerows(map(encode_name, (d.image, d.what, d.in_table, d.found)) for d in differences)
    return text.getvalue()


NEXT = "hambatch score SOURCE --out preds.csv, then hambatch verify preds.csv SOURCE"


@dataclass
class ReadTable:
    """The rows by image, the first where an image has several, and what is wrong with them."""

    rows: dict[str, Row] = field(default_factory=dict)
    differences: list[Difference] = field(default_factory=list)


def read_table(path: Path, kind: str, record: dict[str, Any]) -> ReadTable:
    """Read a table that may have been changed since it was written.

    Raises
    ------
    InputError
        If it is not there, or no table of that format at all.
    """
    table = ReadTable()
    with refusing_malformed(path, NEXT):
        wanted, found = record["output"]["sha256"], sha256_of_file(path)
    if found != wanted:
        table.differences.append(
            Difference("", "the table is not the one that was recorded", wanted, found)
        )
    before = ""
    for row in read_rows_leniently(path, kind, NEXT):
        if isinstance(row, MalformedTable):
            table.differences.append(_no_row(row))
            continue
        here = encode_name(row.image)
        if row.image in table.rows:
            table.differences.append(Difference(row.image, "image has several rows"))
        elif here < before:
            table.differences.append(Difference(row.image, "row is out of order"))
        before = max(before, here)
        table.rows.setdefault(row.image, row)
    return table


def _no_row(error: MalformedTable) -> Difference:
    # What it quotes of the table is encoded there.
    image = decode_name(error.image) if error.image else ""
    return Difference(image, "no row", decode_name(error.found), error.wanted)


READERS = 4


READ_AT_ONCE = 64


def compare_files(
    rows: Mapping[str, Row], listed: Iterable[str], fetched: Callable[[str], Fetched]
) -> Iterator[Difference | None]:
    """Yield, for every listed file and every row without one, a difference or None.

    Parameters
    ----------
    listed
        The images of the folder now, sorted.
    fetched
        Reads an image.
    """
    seen = set()
    waiting = iter(listed)
    with ThreadPoolExecutor(READERS) as pool:
        while names := list(islice(waiting, READ_AT_ONCE)):
            seen.update(names)
            yield from pool.map(lambda name: _compare_bytes(name, rows.get(name), fetched), names)
    for name, row in rows.items():
        # A row that says that its file could not be read is true of one that is not there.
        if name not in seen and row.sha256:
            yield Difference(name, "row without a file", row.sha256)


def reading(root: Path, limits: Limits, *, follow_symlinks: bool) -> Callable[[str], Fetched]:
    """Read images as the run did, under its limits."""
    bounds = Bounds(None if follow_symlinks else root.resolve(), limits)

    def fetched(name: str) -> Fetched:
        return fetch(Item(0, root / name), bounds)

    return fetched


def _compare_bytes(
    name: str, row: Row | None, fetched: Callable[[str], Fetched]
) -> Difference | None:
    if row is None:
        return Difference(name, "file without a row")
    now = fetched(name)
    if now.sha256 == row.sha256:
        return None
    if not row.sha256:
        return Difference(name, "file can be read now", row.reason, now.sha256)
    if not now.sha256:
        return Difference(name, "file cannot be read now", row.sha256, now.problem)
    return Difference(name, "file has changed", row.sha256, now.sha256)


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
            difference = _compare_rows(row, here, allowed)
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


def _compare_rows(row: Row, now: Row, tolerance: float) -> Difference | None:
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
