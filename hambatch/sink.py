"""The sink: owns the output files, which appear whole or not at all."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hambatch.atomic import as_json, refusing, replacing
from hambatch.batches import Row
from hambatch.hashing import sha256_of_file
from hambatch.tables import open_table


@dataclass
class Outputs:
    """What a run writes: rows, and in the end a record that is given the table's sha256."""

    write: Callable[[Row], None]
    describe: Callable[[str], dict[str, Any]] | None = None


@contextmanager
def open_outputs(path: Path, kind: str, record: Path, staging: Path) -> Iterator[Outputs]:
    """Open a table and the record beside it; both appear when the block ends well.

    The block sets ``describe``, which is called when the table is whole. Until
    then both are in the folder ``staging``: a kill leaves nothing beside them.

    Raises
    ------
    InputError
        If either cannot be written: the folder, the disk or the name refuses.
    """
    with replacing(record, staging / "record.tmp") as staged_record:
        with replacing(path, staging / "table.tmp") as staged, refusing(path):
            with open_table(staged, kind) as write:
                outputs = Outputs(write)
                yield outputs
            if outputs.describe is None:
                raise AssertionError("the block ended without saying what the record holds")
            text = as_json(outputs.describe(sha256_of_file(staged)))
            staged_record.write_text(text, encoding="utf-8")
