"""What `hambatch explain` tells its user when it is done."""

from collections import Counter
from pathlib import Path
from typing import Any

from hambatch.names import encode_name

SHOWN = 5
"""Different reasons."""


def as_text(document: dict[str, Any], out: Path) -> str:
    """Sum up ``explain.json`` in a few lines: counts, and why images failed."""
    counts = document["counts"]
    lines = [
        f"{encode_name(str(out))}: {counts['images']} images, {counts['explained']} explained, "
        f"{counts['failed']} failed ({document['engine']['name']}, {document['backend']})"
    ]
    table, engine = document["table"], document["engine"]
    if table and table["engine_json_sha256"] != engine["engine_json_sha256"]:
        lines.append("  the table was scored with another engine, or another state of this one")
    reasons = Counter(one["reason"] for one in document["images"] if one["status"] != "ok")
    lines += [f"  failed: {n} x {reason}" for reason, n in reasons.most_common(SHOWN)]
    return "\n".join(lines)
