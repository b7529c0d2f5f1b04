"""Changes to a table, and what `verify` finds of them."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

from hambatch.checks.options import VerifyOptions
from hambatch.checks.verify.verify import verify
from hambatch.sinks.publish import record_path

EVERY, HASHES = VerifyOptions(sample=100), VerifyOptions(sample=0)


def found(table: Path, source: Path, options: VerifyOptions = EVERY) -> set[tuple[str, str]]:
    return {(d.image, d.what) for d in verify(table, source, "auto", options).differences}


def edit(table: Path, change: Callable[[list[str]], None]) -> None:
    lines = table.read_text().splitlines(keepends=True)
    change(lines)
    table.write_text("".join(lines))


def record_anew(table: Path) -> None:
    """Record the hash of an edited table, so that only the edit can be found."""
    record = json.loads(record_path(table).read_text())
    record["output"]["sha256"] = hashlib.sha256(table.read_bytes()).hexdigest()
    record_path(table).write_text(json.dumps(record))
