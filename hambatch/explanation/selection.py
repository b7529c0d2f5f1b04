"""The images that are to be explained: named one by one, or taken from a table."""

import heapq
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hambatch.engines.classes import CLASSES
from hambatch.engines.loading import installed_engines
from hambatch.errors import InputError
from hambatch.explanation.options import ExplainOptions
from hambatch.score.options import ScoreOptions
from hambatch.score.record import options_of, read_record
from hambatch.sinks.formats import format_of, read_rows
from hambatch.sinks.publish import record_path
from hambatch.system.files import sha256_of_file
from hambatch.system.text import decode_name, encode_name
from hambatch.types import Row

OF_THE_RUN = (
    *("engine", "follow_symlinks", "max_megabytes", "max_megapixels"),
    *("min_side", "max_aspect", "decode_seconds", "salvage_truncated", "calibration"),
)
"""Options of a table's run that say which files can be read, and how their scores are meant; the
others depend on its machine."""


@dataclass(frozen=True)
class Selection:
    """Names of images below ``root``, and how they are read.

    ``rows`` are those of the table, one a name, or none; ``table`` says which table that was.
    """

    root: Path
    names: tuple[str, ...]
    options: ScoreOptions
    rows: tuple[Row, ...] = ()
    table: dict[str, Any] | None = None

    @property
    def boundary(self) -> Path | None:
        """Folder that the files have to lie in, unless the options say otherwise.

        Images that are named one by one may lie anywhere.
        """
        return self.root if self.table else None


def named_images(paths: Sequence[Path], options: ExplainOptions) -> Selection:
    """Take these files, wherever they lie; one that is not there will be a failed image."""
    how = ScoreOptions.on_cpu(engine=options.engine or ScoreOptions.engine)
    return Selection(Path(), tuple(map(str, paths)), how)


def images_of_table(table: Path, source: Path | None, options: ExplainOptions) -> Selection:
    """Take the rows of the highest probability, of a table that `score` wrote.

    Parameters
    ----------
    source
        Where the images lie now; None: where the record says that they were.

    Raises InputError if table or record cannot be read, or no row is of that class.
    """
    record, sha256 = read_record(record_path(table)), sha256_of_file(table)
    if sha256 != record["output"]["sha256"]:
        raise InputError(
            f"{table} is not the table that {record_path(table).name} describes: wanted sha256 "
            f"{record['output']['sha256']}.\nNext: hambatch verify {table} SOURCE, or restore it"
        )
    run = options_of(record["options"])
    how = ScoreOptions.on_cpu(**{name: getattr(run, name) for name in OF_THE_RUN})
    # The record has the name of an engine that is installed, else its folder.
    installed = {folder.name: str(folder) for folder in installed_engines()}
    how = replace(how, engine=options.engine or installed.get(run.engine, run.engine))
    root = source or Path(decode_name(str(record.get("source"))))
    rows = _highest(table, options)
    about = {
        "file": encode_name(str(table)),
        "sha256": sha256,
        "source": encode_name(str(root)),
        "label": options.label,
        "top": options.top,
        "engine_json_sha256": record["fingerprint"]["engine"].get("engine_json_sha256"),
        "precision": record["fingerprint"]["backend"]["precision"],
    }
    return Selection(root, tuple(row.image for row in rows), how, rows, about)


def _highest(table: Path, options: ExplainOptions) -> tuple[Row, ...]:
    predicted: Counter[str] = Counter()

    def fitting() -> Iterator[Row]:
        for row in read_rows(table, format_of(table)):
            if row.status == "ok":
                predicted[row.prediction] += 1
                if options.label in (None, row.prediction):
                    yield row

    # Of equals the first by name, as the table has them.
    found = heapq.nlargest(options.top, fitting(), key=lambda row: max(row.probabilities))
    if not found:
        counts = [f"{predicted[name]} {name}" for name in CLASSES if predicted[name]]
        wanted = f"one predicted {options.label}" if options.label else "a scored image"
        raise InputError(
            f"{table} has no image to explain: predicted are {', '.join(counts) or 'none'}; "
            f"wanted {wanted}.\nNext: another --label, or hambatch score SOURCE --out preds.csv"
        )
    return tuple(found)
