"""The record beside every output: what ran, on what, how it ended."""

import platform
from collections import Counter
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hambatch import __version__
from hambatch.batches import Row
from hambatch.config import ScoreOptions
from hambatch.cores import available_cores
from hambatch.engines.loading import Engine
from hambatch.names import encode_name
from hambatch.sources.folder import Listing
from hambatch.versions import library_versions

NAMED_AT_MOST = 20
"""Names of skipped files that the record lists; the count is always whole."""


def utc_now() -> str:
    """Give the time as ISO 8601, UTC, whole seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def record_path(output: Path) -> Path:
    """``preds.csv`` -> ``preds.csv.run.json``."""
    return output.with_name(output.name + ".run.json")


@dataclass
class Tally:
    """Counts of a run, as its rows go by."""

    scored: int = 0
    failed: int = 0
    predictions: Counter[str] = field(default_factory=Counter)
    decoders: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)

    def count(self, row: Row) -> None:
        """Take note of one row."""
        if row.status == "ok":
            self.scored += 1
            self.predictions[row.prediction] += 1
            self.decoders[row.decoder] += 1
        else:
            self.failed += 1
            self.reasons[row.reason] += 1


def describe_run(
    output_sha256: str,
    *,
    output: Path,
    listing: Listing,
    engine: Engine,
    options: ScoreOptions,
    tally: Tally,
    timing: dict[str, Any],
    backend: str,
) -> dict[str, Any]:
    """Everything the record says, in the order in which a reader asks."""
    images = tally.scored + tally.failed
    return {
        "hambatch": __version__,
        "source": encode_name(str(listing.root.resolve())),
        "output": {"file": encode_name(output.name), "sha256": output_sha256},
        "counts": _counts(tally),
        "not_scored": _not_scored(listing),
        "engine": _engine(engine, options),
        "backend": backend,
        "precision": options.precision,
        "device": {
            "kind": "cpu",
            "machine": platform.machine(),
            "system": platform.platform(),
            "cores": available_cores(),
        },
        "options": {**asdict(options), "engine": encode_name(options.engine)},
        "timing": {**timing, "images_per_s": round(images / max(timing["seconds"], 1e-9), 2)},
        "versions": library_versions(),
    }


def _counts(tally: Tally) -> dict[str, Any]:
    return {
        "images": tally.scored + tally.failed,
        "scored": tally.scored,
        "failed": tally.failed,
        "predictions": dict(sorted(tally.predictions.items())),
        "decoders": dict(sorted(tally.decoders.items())),
        "failures_by_reason": dict(tally.reasons.most_common()),
    }


def _not_scored(listing: Listing) -> dict[str, Any]:
    # Names as the table writes them: a record is text, whatever bytes a name holds.
    return {
        "other_files": len(listing.others),
        "other_files_named": [encode_name(name) for name in listing.others[:NAMED_AT_MOST]],
        "unreadable_folders": {encode_name(n): why for n, why in listing.unreadable.items()},
        "linked_folders": [encode_name(name) for name in listing.links_left[:NAMED_AT_MOST]],
    }


def _engine(engine: Engine, options: ScoreOptions) -> dict[str, Any]:
    variant = engine.variant(options.precision)
    return {
        "name": engine.manifest.name,
        "version": engine.manifest.version,
        "engine_json_sha256": engine.manifest_sha256,
        "graph": variant.file,
        "graph_sha256": engine.manifest.files[variant.file].sha256,
        "temperature": engine.manifest.temperature,
    }
