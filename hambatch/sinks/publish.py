"""The files that a run leaves: table, record and seal appear together, whole or not at all."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hambatch.sinks.formats import open_table
from hambatch.sinks.seal import SealedFile, seal_of
from hambatch.system.files import (
    as_json,
    companion,
    refusing,
    replacing,
    sha256_of_bytes,
    sha256_of_file,
)
from hambatch.system.signing_keys import SigningKey
from hambatch.system.text import encode_name
from hambatch.types import Row


def record_path(output: Path) -> Path:
    """``preds.csv`` -> ``preds.csv.run.json``; of a link, beside what it leads to."""
    return companion(output, ".run.json")


def seal_path(output: Path) -> Path:
    """``preds.csv`` -> ``preds.csv.seal.json``: of a run with ``--sign``."""
    return companion(output, ".seal.json")


def stopped_path(output: Path) -> Path:
    """``preds.csv`` -> ``preds.csv.stopped.json``: of a run that its sentinels stopped."""
    return companion(output, ".stopped.json")


def outputs_of(output: Path) -> tuple[Path, ...]:
    """Name the files that a run leaves; in the folder of images, none of them gets a row."""
    return output, record_path(output), seal_path(output), stopped_path(output)


@dataclass
class Outputs:
    """Takes a run's rows, and at the end what makes the record from the table's sha256."""

    write: Callable[[Row], None]
    describe: Callable[[str], dict[str, Any]] | None = None


@contextmanager
def open_outputs(
    path: Path, kind: str, staging: Path | None, key: SigningKey | None = None
) -> Iterator[Outputs]:
    """Open a table, the record beside it, and with a key its seal; all appear at a good end.

    The block sets ``describe``, which is called when the table is whole. Until then they are in
    the folder ``staging``, on the same file system, or beside their paths where there is none: a
    killed run leaves nothing at their paths. They are renamed in the order table, record, seal,
    so a kill between leaves a table without its seal, never one with a wrong seal that fits.
    Raises InputError if the folder, the disk or a name refuses one of them.
    """
    record, seal = record_path(path), seal_path(path)
    with ExitStack() as stack:

        def staged(output: Path, name: str) -> Path:
            return stack.enter_context(replacing(output, staging and staging / name))

        staged_seal = staged(seal, "seal.tmp") if key else None
        staged_record, staged_table = staged(record, "record.tmp"), staged(path, "table.tmp")
        stack.enter_context(refusing(path))
        with open_table(staged_table, kind) as write:
            outputs = Outputs(write)
            yield outputs
        if outputs.describe is None:
            raise AssertionError("the block ended without saying what the record holds")
        sha256 = sha256_of_file(staged_table)
        described = outputs.describe(sha256)
        content = as_json(described).encode()
        staged_record.write_bytes(content)
        if key and staged_seal:
            files = (_sealed(path, sha256), _sealed(record, sha256_of_bytes(content)))
            staged_seal.write_text(seal_of(described["hambatch"], *files, key), encoding="utf-8")


def _sealed(path: Path, sha256: str) -> SealedFile:
    return SealedFile(encode_name(path.name), sha256)
