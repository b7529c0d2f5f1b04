"""The record beside every output: what ran, on what, how it ended."""

import json
import platform
from collections import Counter
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hambatch import __version__
from hambatch.batches import Row
from hambatch.cores import available_cores
from hambatch.engines.choice import graph_precision
from hambatch.engines.loading import Engine
from hambatch.engines.store import installed_engines
from hambatch.errors import InputError
from hambatch.names import encode_name
from hambatch.plan import Plan
from hambatch.recorded import check_record
from hambatch.sentinels import SentinelError
from hambatch.sources.listing import Changes, Listing
from hambatch.temperature import as_wanted, temperature_of
from hambatch.versions import library_versions

REASONS_AT_MOST = 1000
"""Different reasons that are counted one by one: a reason may quote what a file holds."""

OTHER_REASONS = "other reasons"


def utc_now() -> str:
    """Give the time as ISO 8601, UTC, whole seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def record_path(output: Path) -> Path:
    """``preds.csv`` -> ``preds.csv.run.json``."""
    return output.with_name(output.name + ".run.json")


def stopped_path(output: Path) -> Path:
    """``preds.csv`` -> ``preds.csv.stopped.json``: of a run that its sentinels stopped."""
    return output.with_name(output.name + ".stopped.json")


def outputs_of(output: Path) -> tuple[Path, ...]:
    """Name the files that a run leaves; lying in the folder that it is about, none is an image."""
    return output, record_path(output), stopped_path(output)


@dataclass
class Tally:
    """Counts of a run, as its rows go by."""

    scored: int = 0
    failed: int = 0
    predictions: Counter[str] = field(default_factory=Counter)
    decoders: Counter[str] = field(default_factory=Counter)
    backends: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)

    @property
    def images(self) -> int:
        """All of them."""
        return self.scored + self.failed

    def count(self, row: Row) -> None:
        """Take note of one row."""
        if row.status == "ok":
            self.scored += 1
            self.predictions[row.prediction] += 1
            self.decoders[row.decoder] += 1
            self.backends[row.backend] += 1
        else:
            self.failed += 1
            # As the table has it: one line of valid text, whatever a decoder quoted.
            reason = encode_name(row.reason)
            known = reason in self.reasons or len(self.reasons) < REASONS_AT_MOST
            self.reasons[reason if known else OTHER_REASONS] += 1

    def to_json(self) -> dict[str, Any]:
        """Plain values, the most common reason first."""
        return {
            "images": self.images,
            "scored": self.scored,
            "failed": self.failed,
            "predictions": dict(sorted(self.predictions.items())),
            "decoders": dict(sorted(self.decoders.items())),
            "backends": dict(sorted(self.backends.items())),
            "failures_by_reason": dict(self.reasons.most_common()),
        }


@dataclass(frozen=True)
class Facts:
    """What a record is about, beside its counts and times."""

    output: Path
    listing: Listing
    engine: Engine
    plan: Plan
    fingerprint: dict[str, Any]
    changes: Changes
    sentinels: dict[str, Any]
    notes: dict[str, str]
    handed_over: list[dict[str, str]]


def describe_run(
    output_sha256: str, *, facts: Facts, tally: Tally, timing: dict[str, Any]
) -> dict[str, Any]:
    """Everything the record says, in the order in which a reader asks."""
    return {
        "hambatch": __version__,
        "state": "finished",
        "source": facts.fingerprint["listing"]["source"],
        "output": {"file": encode_name(facts.output.name), "sha256": output_sha256},
        "counts": tally.to_json(),
        "not_scored": asdict(facts.listing.survey),
        "changed_since_begun": asdict(facts.changes),
        "sentinels": facts.sentinels,
        "engine": _engine(facts),
        "precision": asdict(facts.plan.choice),
        "calibration": {"temperature": _temperature(facts)},
        "fingerprint": facts.fingerprint,
        "device": {
            "kind": "gpu" if facts.plan.placement.gpus else "cpu",
            "gpus": [asdict(gpu) for gpu in facts.plan.placement.gpus],
            "why": facts.plan.placement.why,
            "notes": facts.notes,
            "handed_over": facts.handed_over,
            "machine": platform.machine(),
            "system": platform.platform(),
            "cores": available_cores(),
        },
        "options": _options(facts),
        "timing": timing,
        "versions": library_versions(),
    }


def describe_stopped(facts: Facts, error: SentinelError, suspects: list[str]) -> dict[str, Any]:
    """What the record says of a run that its sentinels stopped; there is no table."""
    return {
        "hambatch": __version__,
        "state": "stopped by a sentinel",
        "source": facts.fingerprint["listing"]["source"],
        "stopped_utc": utc_now(),
        "why": str(error),
        "suspect_rows": suspects,
        "sentinels": facts.sentinels,
        "engine": _engine(facts),
        "precision": asdict(facts.plan.choice),
        "fingerprint": facts.fingerprint,
        "versions": library_versions(),
    }


def read_record(path: Path) -> dict[str, Any]:
    """Read the record of a finished run.

    Raises
    ------
    InputError
        If there is none, or it is not that of a finished run, whole.
    """
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        check_record(record)
    except (OSError, ValueError, RecursionError) as error:
        what = error.strerror if isinstance(error, OSError) else f"{error}"
        raise InputError(
            f"{path} cannot be used as the record of a run: {what}; "
            "wanted the file that hambatch score left beside its table.\n"
            "Next: hambatch score SOURCE --out preds.csv"
        ) from error
    return record


def _engine_named(facts: Facts) -> str:
    """Name the engine so that it is found from any folder: installed by name, else by path."""
    named, folder = facts.plan.options.engine, facts.engine.folder
    installed = any(found.name == named and found.samefile(folder) for found in installed_engines())
    return named if installed else str(folder)


def _options(facts: Facts) -> dict[str, Any]:
    """As they were given: ``auto`` stays so; the fingerprint says what became of it."""
    return {**asdict(facts.plan.given), "engine": encode_name(_engine_named(facts))}


def _temperature(facts: Facts) -> float | None:
    return temperature_of(as_wanted(facts.engine.manifest, facts.plan.options))


def _engine(facts: Facts) -> dict[str, Any]:
    engine = facts.engine
    variant = engine.variant(graph_precision(facts.plan.choice.used))
    return {
        "name": engine.manifest.name,
        "version": engine.manifest.version,
        "engine_json_sha256": engine.manifest_sha256,
        "graph": variant.file,
        "graph_sha256": engine.manifest.files[variant.file].sha256,
    }
