"""The files that a run leaves: table and record appear together, whole or not at all."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hambatch.sinks.formats import open_table
from hambatch.system.files import as_json, companion, refusing, replacing, sha256_of_file
from hambatch.types import Row


def record_path(output: Path) -> Path:
    """``preds.csv`` -> ``preds.csv.run.json``; of a link, beside what it leads to."""
    return companion(output, ".run.json")


def stopped_path(output: Path) -> Path:
    """``preds.csv`` -> ``preds.csv.stopped.json``: of a run that its sentinels stopped."""
    return companion(output, ".stopped.json")


def outputs_of(output: Path) -> tuple[Path, ...]:
    """Name the files that a run leaves; in the folder of images, none of them gets a row."""
    return output, record_path(output), stopped_path(output)


@dataclass
class Outputs:
    """Takes a run's rows, and at the end what makes the record from the table's sha256."""

    write: Callable[[Row], None]
    describe: Callable[[str], dict[str, Any]] | None = None


@contextmanager
def open_outputs(path: Path, kind: str, record: Path, staging: Path | None) -> Iterator[Outputs]:
    """Open a table and the record beside it; both appear when the block ends well.

    The block sets ``describe``, which is called when the table is whole. Until then both are in
    the folder ``staging``, on the same file system, or beside their paths where there is none: a
    killed run leaves nothing at their paths. Raises InputError if the
    folder, the disk or the name refuses either.
    """
    record_at, table_at = (staging and staging / name for name in ("record.tmp", "table.tmp"))
    with replacing(record, record_at) as staged_record:
        with replacing(path, table_at) as staged, refusing(path):
            with open_table(staged, kind) as write:
                outputs = Outputs(write)
                yield outputs
            if outputs.describe is None:
                raise AssertionError("the block ended without saying what the record holds")
            text = as_json(outputs.describe(sha256_of_file(staged)))
            staged_record.write_text(text, encoding="utf-8")
