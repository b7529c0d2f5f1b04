"""The table as JSON lines: one object a row."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from hambatch.sinks.columns import (
    MalformedTable,
    Record,
    Value,
    check_columns,
    number_text,
    record_of,
)
from hambatch.system.files import closed_at_the_end
from hambatch.types import Row

_quoted = json.JSONEncoder(ensure_ascii=False).encode


@contextmanager
def open_table(path: Path) -> Iterator[Callable[[Row], None]]:
    """Write rows; raises OSError when the file system refuses."""
    with closed_at_the_end(path.open("w", encoding="utf-8", newline="")) as stream:
        yield lambda row: _write_line(stream.write, record_of(row))


def _write_line(write: Callable[[str], object], record: Record) -> None:
    # The json module writes 0.000001 as 1e-06; here every number has its six decimals.
    members = (f"{_quoted(name)}: {_json(value)}" for name, value in record.items())
    write(f"{{{', '.join(members)}}}\n")


def _json(value: Value) -> str:
    if value is None:
        return "null"
    return _quoted(value) if isinstance(value, str) else number_text(value)


def read_records(path: Path, wanted: Sequence[str]) -> Iterator[Record | MalformedTable]:
    """Yield one record a line; a line that is none is yielded as what is wrong with it.

    Parameters
    ----------
    wanted
        Members that every object has to have; the others are yielded too.

    Raises
    ------
    MalformedTable
        At the end, if no line at all was a JSON object with these members.
    OSError
        If the file cannot be read.
    """
    first: MalformedTable | None = None
    good = 0
    with path.open(encoding="utf-8-sig", errors="surrogateescape") as stream:
        lines = (line for line in stream if line.strip())
        for number, line in enumerate(lines, 1):
            try:
                record = _record(line, number, wanted)
            except MalformedTable as error:
                first = first or error
                yield error
            else:
                good += 1
                yield record
    if first and not good:
        raise first


def _record(line: str, number: int, wanted: Sequence[str]) -> Record:
    try:
        found = json.loads(line)
        # An escape such as \ud800 is JSON, but half a character; so is a byte that is no UTF-8.
        json.dumps(found, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise MalformedTable(f"no JSON in row {number} ({error})", "one object a line") from error
    if not isinstance(found, dict):
        raise MalformedTable(f"{line.strip()[:40]!r} in row {number}", "one object a line")
    try:
        check_columns(list(found), wanted)
    except MalformedTable as error:
        found_in = f"{error.found} in row {number}"
        raise MalformedTable(found_in, error.wanted, found.get("image")) from error
    return found
