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
    "sentinels.checked": "four more without answers of an earlier run",
    "sentinels.own_answers": "whether an earlier run has left its answers",
}
"""Keys of a run record, and of an evaluation, whose values may differ; the keys may not."""

ADDED = {
    "fingerprint.pipeline.rules": "the rules by which files become pixels or failed rows",
    "fingerprint.limits.min_side": "a limit",
    "fingerprint.limits.max_aspect": "a limit",
    "options.min_side": "a limit",
    "options.max_aspect": "a limit",
    "changed_since_begun.changed": "what the second listing found",
    "changed_since_begun.added_names": "what the second listing found",
    "changed_since_begun.changed_names": "what the second listing found",
    "changed_since_begun.unreadable": "what the second listing found",
    "changed_since_begun.since_utc": "a time",
    "changed_since_begun.looked_utc": "a time",
    "changed_since_begun.problem": "what the second listing found",
    "options.double_check": "an option",
    "sentinels.own_answers": "whether an earlier run has left its answers",
    "double_check.percent": "an option",
    "double_check.requests": "what was computed twice",
    "double_check.images": "what was computed twice",
    "double_check.differences": "what was computed twice",
    "not_scored.skipped": "folders of thumbnails and deleted files",
    "not_scored.archives.count": "archives that were not looked into",
    "not_scored.archives.names": "archives that were not looked into",
    "options.archives": "an option",
    "options.max_ratio": "a limit of archives",
    "options.all_formats": "an option",
    "options.keep_ids": "an option",
    "versions.pillow-heif": "a package that decodes",
    "versions.pydicom": "a package that decodes",
    "versions.pyjpegls": "a package that decodes",
    "versions.pylibjpeg-openjpeg": "a package that decodes",
    "versions.python-gdcm": "a package that decodes",
    "counts.flagged": "image checks",
    "counts.risk.refer": "risks",
    "counts.risk.review": "risks",
    "counts.risk.routine": "risks",
    "risk.rules": "certificates in force",
    "truth.id_column": "how an evaluation read its truth",
    "truth.label_column": "how an evaluation read its truth",
    "truth.lesion_column": "how an evaluation read its truth",
    "truth.map": "how an evaluation read its truth",
}
"""Keys that run records and evaluations have since 463d216."""

NO_INTERVAL = "no_interval"
"""Where an evaluation says, since 463d216, why a figure has no interval."""

OTHER_RULE = ("intervals.ece",)
"""Intervals of an evaluation that another rule gives since 463d216."""

OTHER_ROWS = (
    "-icc",
    "too small: ",
    "too narrow: ",
    "holds nothing: ",
    "colour profile ",
    "incomplete: ",
    "not a JPEG or PNG image",
    "not an image that hambatch reads",
)
"""What a row says that the rules of decoding have changed since 463d216."""

FAILED_BEFORE = "not a JPEG or PNG image ("
"""What a row said of a format that the rules of decoding now know."""

REWORDED = {
    "fp32 was asked for": "--precision fp32",
    "int8 was asked for": "--precision int8",
    "gate passed: 0.2 % of labels change": "gate passed: 0.2 % of labels change (training images)",
}
"""Values that say the same in other words since 463d216."""

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


def same_rows(name: str, before: Path, after: Path) -> Check:
    """Compare two tables row by row; a row may differ that says which rule has changed it."""
    one, other = _rows_of(before), _rows_of(after)
    if len(one) != len(other):
        return Check(name, False, f"{len(one)} and {len(other)} rows")
    differing = [(a, b) for a, b in zip(one, other, strict=True) if a != b]
    unexplained = [
        after
        for before, after in differing
        if not (FAILED_BEFORE in before or any(words in after for words in OTHER_ROWS))
    ]
    if unexplained:
        return Check(name, False, f"{len(unexplained)} rows differ, the first: {unexplained[0]}")
    return Check(name, True, f"{len(one)} rows, {len(differing)} of them by other rules")


def _rows_of(path: Path) -> list[str]:
    if path.suffix == ".parquet":
        from pyarrow import parquet

        return [json.dumps(row) for row in parquet.read_table(path).to_pylist()]
    return path.read_text(encoding="utf-8").splitlines()


def same_keys(name: str, before: Path, after: Path, but: tuple[str, ...] = ()) -> Check:
    """Compare two JSON files key by key, the order of the keys included.

    Keys that begin with one of ``but`` are left out.
    """
    if not before.exists() or not after.exists():
        return Check(name, False, f"{before.exists()=}, {after.exists()=}")
    one, other = (
        {key: value for key, value in _flat(json.loads(path.read_text())) if not _left(key, but)}
        for path in (before, after)
    )
    differing = [f"{key} in one only" for key in sorted(one.keys() ^ other.keys())]
    ignored = one.keys() & IGNORED.keys()
    for key in one:
        if key in other and key not in ignored and not _same(one[key], other[key]):
            differing.append(f"{key}: {one[key][:SHOWN]} and {other[key][:SHOWN]}")
    if list(one) != list(other) and not differing:
        differing.append("the order of the keys")
    summary = f"{len(one)} values, {len(ignored)} of them ignored"
    return Check(name, not differing, "; ".join(differing) or summary)


def _left(key: str, but: tuple[str, ...]) -> bool:
    added = key in ADDED or NO_INTERVAL in key.split(".")
    return added or any(key.startswith(start) for start in but)


def _same(before: str, after: str) -> bool:
    reworded = REWORDED.get(json.loads(before)) if before.startswith('"') else None
    return after == (json.dumps(reworded) if reworded else before)


def _flat(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Give every value as JSON by its dotted key; an empty object is a value."""
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from _flat(inner, f"{key}.{name}" if key else name)
    elif isinstance(value, list) and any(isinstance(inner, dict) for inner in value):
        for number, inner in enumerate(value):
            yield from _flat(inner, f"{key}.{number}")
    else:
        yield key, json.dumps(value)
