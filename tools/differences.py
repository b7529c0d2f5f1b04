"""Compares two files that hambatch wrote: byte for byte, or key by key without times."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

IGNORED = {
    "hambatch": "the version",
    "versions.hambatch": "the version",
    "fingerprint.versions.hambatch": "the version",
    "timing.begun_utc": "a time",
    "timing.started_utc": "a time",
    "timing.ended_utc": "a time",
    "timing.seconds": "a duration",
    "timing.images_per_s": "a rate",
    "timing.stages.load_s": "a duration",
    "timing.stages.read_wait_s": "a duration",
    "timing.stages.decode_wait_s": "a duration",
    "timing.stages.inference_wait_s": "a duration",
}
"""Keys of a run record, and of an evaluation, whose values may differ; the keys may not."""

REWORDED = {"fp32 was asked for": "--precision fp32", "int8 was asked for": "--precision int8"}
"""Values that say the same in other words since 463d216."""

ADDED = frozenset(
    f"changed_since_begun.{key}"
    for key in "changed added_names changed_names unreadable since_utc looked_utc problem".split()
)
"""Keys that 463d216 did not write; the others are in both, and in the same order."""

SHOWN = 60
"""Characters of a differing value that a message shows."""


class Check(NamedTuple):
    """What was compared, whether it is right, and what was found."""

    name: str
    right: bool
    found: str


def same_bytes(name: str, before: Path, after: Path) -> Check:
    """Compare two files byte for byte."""
    if not before.exists() or not after.exists():
        return Check(name, False, f"{before.exists()=}, {after.exists()=}")
    one, other = before.read_bytes(), after.read_bytes()
    if one == other:
        digest = hashlib.sha256(one).hexdigest()[:12]
        return Check(name, True, f"{len(one)} bytes, sha256 {digest}")
    places = (at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b)
    at = next(places, min(len(one), len(other)))
    return Check(name, False, f"byte {at}: {one[at:][:SHOWN]!r} and {other[at:][:SHOWN]!r}")


def same_keys(name: str, before: Path, after: Path) -> Check:
    """Compare two JSON files key by key, the order of the keys included."""
    if not before.exists() or not after.exists():
        return Check(name, False, f"{before.exists()=}, {after.exists()=}")
    one, other = (dict(_flat(json.loads(path.read_text()))) for path in (before, after))
    other = {key: value for key, value in other.items() if key not in ADDED or key in one}
    differing = [f"{key} in one only" for key in sorted(one.keys() ^ other.keys())]
    ignored = one.keys() & IGNORED.keys()
    for key in one:
        if key in other and key not in ignored and not _same(one[key], other[key]):
            differing.append(f"{key}: {one[key][:SHOWN]} and {other[key][:SHOWN]}")
    if list(one) != list(other) and not differing:
        differing.append("the order of the keys")
    summary = f"{len(one)} values, {len(ignored)} of them ignored"
    return Check(name, not differing, "; ".join(differing) or summary)


def _same(before: str, after: str) -> bool:
    reworded = REWORDED.get(json.loads(before)) if before.startswith('"') else None
    return after == (json.dumps(reworded) if reworded else before)


def _flat(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Give every value as JSON by its dotted key; an empty object is a value."""
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from _flat(inner, f"{key}.{name}" if key else name)
    else:
        yield key, json.dumps(value)
