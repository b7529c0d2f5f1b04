"""The table as JSON lines: one object a row."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from hambatch.sinks.columns import (
    MalformedTable,
    Record,
    Value,
    carried_names,
    check_columns,
    number_text,
    record_of,
)
from hambatch.system import json_lines
from hambatch.system.files import closed_at_the_end
from hambatch.types import Row

_quoted = json.JSONEncoder(ensure_ascii=False).encode


@contextmanager
def open_table(
    path: Path, carried: Sequence[str] = (), *, checked: bool = True
) -> Iterator[Callable[[Row], None]]:
    """Write rows; raises OSError when the file system refuses."""
    names = carried_names(carried)
    with closed_at_the_end(path.open("w", encoding="utf-8", newline="")) as stream:

        def write(row: Row) -> None:
            stream.write(_line(record_of(row, names, checked=checked)))

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
    return json_lines.read_records(path, lambda found: check_columns(found, wanted))
