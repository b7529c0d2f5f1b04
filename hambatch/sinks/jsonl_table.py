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
from hambatch.system.schema import decode
from hambatch.types import Row

_quoted = json.JSONEncoder(ensure_ascii=False).encode


@contextmanager
def open_table(path: Path) -> Iterator[Callable[[Row], None]]:
    """Write rows; raises OSError when the file system refuses."""
    with closed_at_the_end(path.open("w", encoding="utf-8", newline="")) as stream:

        def write(row: Row) -> None:
            stream.write(_line(record_of(row)))

        yield write


def _line(record: Record) -> str:
    # The json module writes 0.000001 as 1e-06; here every number has its six decimals.
    members = (f"{_quoted(name)}: {_json(value)}" for name, value in record.items())
    return f"{{{', '.join(members)}}}\n"


def _json(value: Value) -> str:
    if value is None:
        return "null"
    return _quoted(value) if isinstance(value, str) else number_text(value)


def read_records(path: Path, wanted: Sequence[str]) -> Iterator[Record | MalformedTable]:
    """Yield one record a line; if no line holds one, raise MalformedTable at the end."""
    first: MalformedTable | None = None
    good = False
    with path.open(encoding="utf-8-sig", errors="surrogateescape") as stream:
        lines = (line for line in stream if line.strip())
        for number, line in enumerate(lines, 1):
            try:
                record = _record(line, number, wanted)
            except MalformedTable as error:
                first = first or error
                yield error
            else:
                good = True
                yield record
    if first and not good:
        raise first


def _record(line: str, number: int, wanted: Sequence[str]) -> Record:
    try:
        # NaN is a missing value in tables of other programs.
        found = decode(line, strict=False)
        # An escape such as \ud800 is JSON, but half a character; so is a byte that is no UTF-8.
        json.dumps(found, ensure_ascii=False).encode()
    except ValueError as error:
        raise MalformedTable(f"no JSON in row {number} ({error})", "one object a line") from error
    if not isinstance(found, dict):
        raise MalformedTable(f"{line.strip()[:40]!r} in row {number}", "one object a line")
    try:
        check_columns(list(found), wanted)
    except MalformedTable as error:
        found_in = f"{error.found} in row {number}"
        raise MalformedTable(found_in, error.wanted, found.get("image")) from error
    return found
