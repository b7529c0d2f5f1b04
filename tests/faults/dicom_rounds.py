"""Damaged DICOM files beside good pictures, scored in whole runs, and what their rows must say."""

import json
import re
import shutil
import zipfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from hashlib import sha256
from pathlib import Path

from hambatch.checks.verify.row import REASONS
from hambatch.system.text import FRAME
from tests.faults.command import Command, rows_of_file
from tests.faults.corpus import generated_jpegs, scattered, write_folder
from tests.faults.dicom_damage import DicomFile

WRONG = ("lost", "misattributed", "good_changed", "strangers", "unexplained", "unstable")
BESIDE = ("crashes", "leaks")

IN_ZIP_EVERY = 4
ARCHIVE = "members.zip"

WINDOW = 8
"""Characters of a value that are looked for first: most values are nowhere."""

Row = dict[str, str]


@dataclass
class Played:
    """What is wrong with a round, one entry each; and what was seen with nothing wrong.

    Attributes
    ----------
    lost
        Files without a row, or without one of their frames' rows.
    misattributed
        Scored rows with another sha256 than that of their file.
    good_changed
        Rows of good files that are other ones than in a run without damaged files.
    strangers
        Rows of no file.
    unexplained
        Failed rows with a reason that is none of a run.
    unstable
        Rows that differ between two runs, in batches of other sizes.
    crashes
        Runs that ended otherwise than a run may.
    leaks
        Values of headers that stand in an output, in a journal, or in what was printed.
    """

    lost: list[object] = field(default_factory=list)
    misattributed: list[object] = field(default_factory=list)
    good_changed: list[object] = field(default_factory=list)
    strangers: list[object] = field(default_factory=list)
    unexplained: list[object] = field(default_factory=list)
    unstable: list[object] = field(default_factory=list)
    crashes: list[object] = field(default_factory=list)
    leaks: list[object] = field(default_factory=list)
    by_kind: Counter[tuple[str, str]] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    workers_lost: list[str] = field(default_factory=list)
    searched: int = 0
    rows: int = 0

    @property
    def wrong(self) -> dict[str, int]:
        """How many of each that has to be 0."""
        return {what: len(getattr(self, what)) for what in (*WRONG, *BESIDE)}


def play(
    damaged: Sequence[DicomFile],
    good: Sequence[DicomFile],
    engine: Path,
    place: Path,
    batch_sizes: Sequence[int] = (16, 5),
    *,
    is_stopped: bool = True,
) -> Played:
    """Score damaged files among good ones, once a batch size: all tables have to be the same.

    ``is_stopped``: and once until a tenth of the images has failed, which leaves a journal.
    """
    played = Played()
    pictures = {scattered(f"beside {k}"): c for k, c in enumerate(generated_jpegs(8, 5, 120, 90))}
    folder = _written(place / "mixed", [*damaged, *good], pictures)
    runs = [_Run(engine, place / f"of{size}", folder, size) for size in batch_sizes]
    clean = _Run(engine, place / "clean", _written(place / "clean", good, pictures), 16)
    all_runs = [*runs, clean] if good else runs
    if not all([run.finish(played) for run in all_runs]):
        return played
    if is_stopped:
        all_runs.append(_Run(engine, place / "stopped", folder, 1, "--fail-over", "10"))
        if not all_runs[-1].stop(played):
            return played
    rows = runs[0].rows()
    _judge(played, [*damaged, *good], pictures, rows)
    played.good_changed += _other_rows(clean.rows(), rows) if good else []
    for run in runs[1:]:
        if run.command.out.read_bytes() != runs[0].command.out.read_bytes():
            played.unstable += _other_rows(rows, run.rows()) or ["order"]
    outputs = [path for run in all_runs for path in run.written()]
    values = [value for file in (*damaged, *good) for value in file.values]
    played.searched = len(values)
    played.leaks += leaks(values, outputs)
    shutil.rmtree(place)
    return played


class _Run:
    """A run whose outputs lie in a folder of their own."""

    def __init__(
        self, engine: Path, place: Path, source: Path, batch_size: int, *more: str
    ) -> None:
        place.mkdir(parents=True, exist_ok=True)
        options = ("--archives", "--batch-size", str(batch_size), *more)
        self.command = Command(source, place / "p.csv", engine, place / "scratch", options)

    def finish(self, played: Played) -> bool:
        """Run it; gives whether it made its table."""
        try:
            self.command.finish(timeout_s=3600)
        except AssertionError as error:
            played.crashes.append(str(error))
            return False
        if "Traceback" in self.command.said():
            played.crashes.append(self.command.said())
        record = json.loads(self.command.record.read_text())
        played.workers_lost += record["timing"]["workers_lost"]
        return True

    def stop(self, played: Played) -> bool:
        """Run it until too many images have failed; gives whether that left its journal."""
        code = self.command.start().wait(3600)
        if code != 1 or not (self.command.journal / "rows").exists():
            played.crashes.append(f"exit code {code}, wanted 1 and a journal")
            return False
        return True

    def rows(self) -> dict[str, Row]:
        """Read the table."""
        return {row["image"]: row for row in rows_of_file(self.command.out)}

    def written(self) -> list[Path]:
        """Name all that the run wrote, but for its source."""
        place = self.command.out.parent
        return [
            path
            for path in place.rglob("*")
            if path.is_file() and self.command.source not in path.parents
        ]


def _written(place: Path, files: Sequence[DicomFile], pictures: Mapping[str, bytes]) -> Path:
    """Write a folder of files, of which some lie in a zip."""
    inside = [file for file in files if file.k % IN_ZIP_EVERY == 0]
    outside = {file.name: file.content for file in files if file.k % IN_ZIP_EVERY}
    folder = write_folder(place / "images", {**outside, **pictures})
    with zipfile.ZipFile(folder / ARCHIVE, "w") as archive:
        for file in inside:
            archive.writestr(file.name, file.content)
    return folder


def _image(file: DicomFile) -> str:
    return file.name if file.k % IN_ZIP_EVERY else f"{ARCHIVE}!/{file.name}"


def _judge(
    played: Played,
    files: Sequence[DicomFile],
    pictures: Mapping[str, bytes],
    rows: Mapping[str, Row],
) -> None:
    by_file: dict[str, dict[str, Row]] = {}
    for image, row in rows.items():
        found = FRAME.fullmatch(image)
        by_file.setdefault(found[1] if found else image, {})[image] = row
    for name in pictures:
        by_file.pop(name, None)
    for file in files:
        _judge_file(played, file, by_file.pop(_image(file), {}))
    played.strangers += by_file
    played.rows = len(rows)


def _judge_file(played: Played, file: DicomFile, rows: Mapping[str, Row]) -> None:
    origin = {"k": file.k, "kind": file.kind, "writing": file.writing, "file": file.name}
    image, counts = _image(file), played.by_kind
    width = max(4, len(str(len(rows))))
    frames = {f"{image}!/frame-{k:0{width}}" for k in range(1, len(rows) + 1)}
    if rows.keys() not in ({image}, frames) or rows.keys() == {f"{image}!/frame-0001"}:
        played.lost.append({**origin, "rows": sorted(rows)[:5]})
    digest = sha256(file.content).hexdigest()
    for name, row in rows.items():
        counts[file.kind, row["status"]] += 1
        if row["status"] == "ok" and row["sha256"] != digest:
            played.misattributed.append({**origin, "row": name})
        if row["status"] == "failed":
            played.reasons[re.sub(r"\d+(\.\d+)?", "N", row["reason"])] += 1
            if not row["reason"].startswith(REASONS):
                played.unexplained.append({**origin, "reason": row["reason"]})
            if file.kind == "good":
                played.good_changed.append({**origin, "reason": row["reason"]})
    counts[file.kind, "files"] += 1


def _other_rows(before: Mapping[str, Row], after: Mapping[str, Row]) -> list[object]:
    return [
        {"before": row, "after": after.get(name)}
        for name, row in before.items()
        if after.get(name) != row
    ]


def leaks(values: Iterable[str], paths: Sequence[Path]) -> list[object]:
    """Find values of headers in files; the temporary ones of a run, too."""
    texts = {path: path.read_bytes().decode("utf-8", "replace") for path in paths}
    windows = {path: _windows(text) for path, text in texts.items()}
    anywhere: set[str] = reduce(set.union, windows.values(), set())
    return [
        {"value": value, "file": str(path)}
        for value in values
        if len(value) < WINDOW or value[:WINDOW] in anywhere or value[-WINDOW:] in anywhere
        for path, text in texts.items()
        if value in text
    ]


def _windows(text: str) -> set[str]:
    return {text[k : k + WINDOW] for k in range(len(text) - WINDOW + 1)}
