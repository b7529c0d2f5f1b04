"""The files that a run leaves: table, record and seal appear together, whole or not at all."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hambatch.errors import InputError
from hambatch.sinks.columns import carried_names
from hambatch.sinks.dicom_report import report_versions
from hambatch.sinks.dicom_sr_table import Reporting
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
from hambatch.system.schema import read_json_file
from hambatch.system.signing_keys import SigningKey
from hambatch.system.text import decode_name, encode_name, excerpt, first_names
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


def index_path(output: Path) -> Path:
    """``preds.csv`` -> ``preds.csv.index``: of a run with ``--update``."""
    return companion(output, ".index")


def changes_path(output: Path) -> Path:
    """``preds.csv`` -> ``preds.csv.changes.csv``: of a run with ``--update``."""
    return companion(output, ".changes.csv")


def beside_update(output: Path) -> tuple[Path, Path]:
    """Name what only a run with ``--update`` leaves."""
    return changes_path(output), index_path(output)


def drop_update(output: Path) -> None:
    """Remove what an earlier run with ``--update`` left: it is of another table."""
    with refusing(output):
        for path in beside_update(output):
            path.unlink(missing_ok=True)


def outputs_of(output: Path) -> tuple[Path, ...]:
    """Name the files that a run leaves; in the folder of images, none of them gets a row."""
    companions = record_path(output), seal_path(output), stopped_path(output)
    return output, *companions, *beside_update(output)


CARRIED = "carried"
"""The key of a record's ``output`` whose list names the carried columns, encoded."""


def carried_by(columns: Sequence[str]) -> dict[str, list[str]]:
    """Give what a record's ``output`` says of carried columns: nothing where there are none."""
    return {CARRIED: list(carried_names(columns))} if columns else {}


REPORTS = "reports"
"""The key of a record's ``output`` that says how many structured reports a zip holds."""


def reported_by(reporting: Reporting | None) -> dict[str, dict[str, Any]]:
    """Give what a record's ``output`` says of reports: nothing where the format has none."""
    if reporting is None:
        return {}
    counts = {"written": reporting.written, "missing": reporting.missing}
    return {REPORTS: {**counts, **report_versions()}}


def carried_in(record: Mapping[str, Any]) -> tuple[str, ...]:
    """Give the columns of a manifest that a table carries, as a run's record names them.

    Those are the only columns after ours that belong to a table: people may have added others.
    Records of earlier versions, and those of other sources, name none. Raises ValueError if the
    record says what no run writes.
    """
    output = record.get("output")
    found = output.get(CARRIED, []) if isinstance(output, dict) else []
    if not (isinstance(found, list) and all(isinstance(name, str) for name in found)):
        raise ValueError(f"output.{CARRIED} is {excerpt(repr(found))}, wanted names of columns")
    names = tuple(map(decode_name, found))
    if list(carried_names(names)) != found:
        raise ValueError(f"output.{CARRIED} has names that no run writes: {first_names(found)}")
    return names


def carried_columns(path: Path, kind: str = "auto") -> tuple[str, ...]:
    """Give the columns of a manifest that a table carries: see :func:`carried_in`.

    A submission carries none, and neither does a table without its record. Raises InputError if
    the record cannot be read.
    """
    record = record_path(path)
    if kind == "isic" or not record.exists():
        return ()
    try:
        return carried_in(read_json_file(record, dict[str, Any]))
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise InputError(
            f"{record} cannot be used as the record of a run: {why}; wanted the file that hambatch "
            "score left beside its table.\nNext: restore it, or move it away"
        ) from error


@dataclass
class Outputs:
    """Takes a run's rows, and at the end what makes the record from the table's sha256.

    ``staged`` says where each further file is to be written until then.
    """

    write: Callable[[Row], None]
    describe: Callable[[str], dict[str, Any]] | None = None
    staged: Mapping[Path, Path] = field(default_factory=dict)


@contextmanager
def open_outputs(
    path: Path,
    kind: str,
    staging: Path | None,
    key: SigningKey | None = None,
    carried: Sequence[str] = (),
    further: Sequence[Path] = (),
    reporting: Reporting | None = None,
) -> Iterator[Outputs]:
    """Open a table, the record beside it, and with a key its seal; all appear at a good end.

    ``carried`` names the columns of a manifest that follow ours in the table; ``further`` are
    other files, which ``describe`` has to write where ``staged`` says; ``reporting`` is what
    structured reports say of the run.

    The block sets ``describe``, which is called when the table is whole. Until then they are in
    the folder ``staging``, on the same file system, or beside their paths where there is none: a
    killed run leaves nothing at their paths. They are renamed in the order table, record, seal,
    others, so a kill between leaves a table without its seal, never one with a wrong seal that
    fits.
    Raises InputError if the folder, the disk or a name refuses one of them.
    """
    record, seal = record_path(path), seal_path(path)
    with ExitStack() as stack:

        def staged(output: Path, name: str) -> Path:
            return stack.enter_context(replacing(output, staging and staging / name))

        others = {one: staged(one, f"{number}.tmp") for number, one in enumerate(further)}
        staged_seal = staged(seal, "seal.tmp") if key else None
        staged_record, staged_table = staged(record, "record.tmp"), staged(path, "table.tmp")
        stack.enter_context(refusing(path))
        with open_table(staged_table, kind, carried, reporting) as write:
            outputs = Outputs(write, staged=others)
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
