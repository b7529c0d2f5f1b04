"""Tables and records as they were before images were checked."""

import csv
import hashlib
import json
from pathlib import Path

from hambatch.engines.classes import SCORE_COLUMNS
from hambatch.system.files import companion


def as_before_checks(table: Path, rules: int = 3) -> None:
    """Turn a CSV of this version and its record into those of earlier rules of decoding."""
    with table.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    with table.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, SCORE_COLUMNS, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    path = companion(table, ".run.json")
    record = json.loads(path.read_text())
    record["output"]["sha256"] = hashlib.sha256(table.read_bytes()).hexdigest()
    record["fingerprint"]["pipeline"]["rules"] = rules
    for name in ("flagged", "flagged_by_reason", "risk"):
        del record["counts"][name]
    del record["risk"]
    path.write_text(json.dumps(record))
