"""Changes to a table, and what `verify` finds of them."""

import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from hambatch.checks.options import VerifyOptions
from hambatch.checks.verify.verify import verify
from hambatch.errors import InputError
from hambatch.scoring.record import Tally
from hambatch.sinks.formats import format_of, read_rows
from hambatch.sinks.publish import record_path
from hambatch.system.text import encode_name

EVERY, HASHES = VerifyOptions(sample=100), VerifyOptions(sample=0)


def found(table: Path, source: Path, options: VerifyOptions = EVERY) -> set[tuple[str, str]]:
    return {(d.image, d.what) for d in verify(table, [source], "auto", options).differences}


def edit(table: Path, change: Callable[[list[str]], None]) -> None:
    lines = table.read_text().splitlines(keepends=True)
    change(lines)
    table.write_text("".join(lines))


def record_anew(table: Path) -> None:
    """Record what an edited table holds, so that only the edit can be found."""
    record = json.loads(record_path(table).read_text())
    record["output"]["sha256"] = hashlib.sha256(table.read_bytes()).hexdigest()
    with suppress(InputError):
        rows = list(read_rows(table, format_of(table)))
        tally, names = Tally(), hashlib.sha256()
        for row in rows:
            tally.count(row)
            names.update(f"{encode_name(row.image)}\n".encode())
        record["counts"] = tally.to_json()
        record["fingerprint"]["listing"]["images"] = len(rows)
        record["fingerprint"]["listing"]["sha256"] = names.hexdigest()
        record["timing"]["images"] = min(record["timing"]["images"], len(rows))
    record_path(table).write_text(json.dumps(record))
