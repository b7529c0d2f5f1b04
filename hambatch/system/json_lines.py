"""JSON lines that are read: one object a line."""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from hambatch.system.malformed import MalformedTable
from hambatch.system.schema import decode


def read_records(
    path: Path, check: Callable[[Sequence[str]], None]
) -> Iterator[dict[str, Any] | MalformedTable]:
    """Yield one record a line; if no line holds one, raise MalformedTable at the end.

    ``check`` is called with the keys of every line, and raises MalformedTable to refuse them.
    """
    first: MalformedTable | None = None
    good = False
    with path.open(encoding="utf-8-sig", errors="surrogateescape") as stream:
        lines = (line for line in stream if line.strip())
        for number, line in enumerate(lines, 1):
            try:
                record = _record(line, number, check)
            except MalformedTable as error:
                first = first or error
                yield error
            else:
                good = True
                yield record
    if first and not good:
        raise first


def _record(line: str, number: int, check: Callable[[Sequence[str]], None]) -> dict[str, Any]:
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
        check(list(found))
    except MalformedTable as error:
        found_in = f"{error.found} in row {number}"
        raise MalformedTable(found_in, error.wanted, found.get("image")) from error
    return found
