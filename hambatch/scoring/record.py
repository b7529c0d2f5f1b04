"""The record beside every output: what ran, on what, how it ended; written, and read back."""

import json
import platform
from collections import Counter
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta

from hambatch import __version__
from hambatch.backends import BACKENDS
from hambatch.engines.backend_names import AUTO, USED, WANTED, graph_precision
from hambatch.engines.classes import RISKS
from hambatch.engines.loading import engine_word
from hambatch.engines.probabilities import as_wanted, temperature_of
from hambatch.engines.referral import Rule, Rules
from hambatch.errors import InputError, SentinelError, WrongScores
from hambatch.risk.decision import why_of
from hambatch.scoring import double_check
from hambatch.scoring.device_names import numbers_in
from hambatch.scoring.journal.begun import DeviceHistory, survey_of
from hambatch.scoring.options import ScoreOptions
from hambatch.scoring.runner import Run
from hambatch.sinks.dicom_sr_table import Reporting
from hambatch.sinks.publish import carried_by, carried_in, reported_by, stopped_path
from hambatch.system.cpu import available_cores
from hambatch.system.files import open_regular, write_json
from hambatch.system.packages import library_versions
from hambatch.system.schema import MOST_BYTES, convert, read_json
from hambatch.system.text import decode_name, encode_name
from hambatch.types import Row

REASONS_AT_MOST = 1000
"""Different reasons that are counted one by one: a reason may quote what a file holds."""

OTHER_REASONS = "other reasons"


def utc_now() -> str:
    """Give the time as ISO 8601, UTC, whole seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass
class Tally:
    """Counts of a run, as its rows go by."""

    scored: int = 0
    failed: int = 0
    predictions: Counter[str] = field(default_factory=Counter)
    decoders: Counter[str] = field(default_factory=Counter)
    backends: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    flagged: int = 0
    flags: Counter[str] = field(default_factory=Counter)
    risks: Counter[str] = field(default_factory=Counter)

    @property
    def images(self) -> int:
        """All of them."""
        return self.scored + self.failed

    def count(self, row: Row) -> None:
        """Take note of one row."""
        self.risks[row.risk] += 1
        if row.status == "ok":
            self.scored += 1
            self.predictions[row.prediction] += 1
            self.decoders[row.decoder] += 1
            self.backends[row.backend] += 1
            found = why_of(row)
            self.flagged += bool(found)
            self.flags.update(found)
        else:
            self.failed += 1
            # As the table has it: one line of valid text, whatever a decoder quoted.
            reason = encode_name(row.reason)
            known = reason in self.reasons or len(self.reasons) < REASONS_AT_MOST
            self.reasons[reason if known else OTHER_REASONS] += 1

    def to_json(self, *, checked: bool = True) -> dict[str, Any]:
        """Plain values, the most common reason first.

        ``checked``: with what was found of images that were scored; earlier records have none.
        """
        checks = {
            "flagged": self.flagged,
            "flagged_by_reason": dict(self.flags.most_common()),
            "risk": {risk: self.risks[risk] for risk in RISKS},
        }
        return {
            "images": self.images,
            "scored": self.scored,
            "failed": self.failed,
            "predictions": dict(sorted(self.predictions.items())),
            "decoders": dict(sorted(self.decoders.items())),
            "backends": dict(sorted(self.backends.items())),
            "failures_by_reason": dict(self.reasons.most_common()),
            **(checks if checked else {}),
        }


def rules_in(record: Mapping[str, Any]) -> Rules:
    """Read by which rules rows are referred; none where a record says nothing.

    Raises ValueError if it says what no run writes.
    """
    found = record.get("risk", {})
    return convert(found["rules"], dict[str, tuple[Rule, ...]]) if found else {}


@dataclass(frozen=True)
class ChangedSince:
    """The record's ``changed_since_begun``.

    Attributes
    ----------
    added, gone, changed
        Files without a row; rows whose file is gone; rows of other bytes than the file has now.
        None: SOURCE could not be listed again.
    added_names, changed_names
        The first of them, percent-encoded as in the table.
    unreadable
        Folders that can no longer be read, each with the reason.
    since_utc, looked_utc
        When the oldest rows' run began, and when SOURCE was listed again.
    problem
        Why it could not be listed; empty if it was.
    """

    added: int | None = None
    gone: int | None = None
    changed: int | None = None
    added_names: list[str] = field(default_factory=list)
    changed_names: list[str] = field(default_factory=list)
    unreadable: dict[str, str] = field(default_factory=dict)
    since_utc: str = ""
    looked_utc: str = ""
    problem: str = ""

    @property
    def none_missed(self) -> bool:
        """Whether every file that is there now has a row of its bytes, as far as can be seen."""
        return not (self.added or self.changed or self.unreadable or self.problem)


def describe_run(
    output_sha256: str,
    *,
    run: Run,
    tally: Tally,
    changes: ChangedSince,
    timing: dict[str, Any],
    update: dict[str, Any] | None = None,
    reporting: Reporting | None = None,
) -> dict[str, Any]:
    """Everything the record says, in the order in which it is read."""
    plan, devices = run.plan, run.journal.devices
    return {
        "hambatch": __version__,
        "state": "finished",
        "source": _fingerprint(run)["listing"]["source"],
        "output": {
            "file": encode_name(run.out.name),
            "sha256": output_sha256,
            **carried_by(run.listing.columns),
            **reported_by(reporting),
        },
        "counts": tally.to_json(),
        "not_scored": asdict(run.listing.survey),
        "changed_since_begun": asdict(changes),
        **({} if update is None else {"update": update}),
        "sentinels": run.devices.sentinels(),
        "double_check": double_check.summary(plan.used.double_check, run.devices.twice()),
        "engine": engine_used(run),
        "precision": asdict(plan.choice),
        "calibration": {
            "temperature": temperature_of(as_wanted(run.engine.manifest, plan.used.calibration))
        },
        "risk": {
            "rules": {name: [asdict(rule) for rule in found] for name, found in plan.rules.items()}
        },
        "fingerprint": _fingerprint(run),
        "device": {
            "kind": "gpu" if plan.placement.gpus else "cpu",
            "gpus": [asdict(gpu) for gpu in plan.placement.gpus],
            "why": plan.placement.why,
            "notes": devices.notes,
            "handed_over": devices.handed_over,
            "machine": platform.machine(),
            "system": platform.platform(),
            "cores": available_cores(),
        },
        # As they were given: ``auto`` stays so; the fingerprint says what was used.
        "options": {**asdict(plan.given), "engine": encode_name(engine_word(run.engine.folder))},
        "timing": timing,
        "versions": library_versions(),
    }


def write_stopped(run: Run, error: WrongScores) -> None:
    """Name the rows that wrong scores make suspect; none of them is in the journal."""
    suspect, path = set(error.suspect), stopped_path(run.out)
    by = "a sentinel" if isinstance(error, SentinelError) else "a double check"
    try:
        record = {
            "hambatch": __version__,
            "state": f"stopped by {by}",
            "source": _fingerprint(run)["listing"]["source"],
            "stopped_utc": utc_now(),
            "why": str(error),
            "suspect_rows": [encode_name(n) for k, n in enumerate(run.listing) if k in suspect],
            "sentinels": run.devices.sentinels(),
            "engine": engine_used(run),
            "precision": asdict(run.plan.choice),
            "fingerprint": _fingerprint(run),
            "versions": library_versions(),
        }
        write_json(path, record)
    except (OSError, InputError) as failure:
        error.add_note(f"{path.name}, which should name them, could not be written: {failure}")
    else:
        error.add_note(f"{path.name} names them; they are not among what is kept")


def _fingerprint(run: Run) -> dict[str, Any]:
    return run.journal.begun_with.fingerprint


def engine_used(run: Run) -> dict[str, str]:
    """Name the engine and the graph that a run scores with, each with its sha256."""
    manifest = run.engine.manifest
    variant = manifest.variant(graph_precision(run.plan.choice.used))
    return {
        "name": manifest.name,
        "version": manifest.version,
        "engine_json_sha256": run.engine.manifest_sha256,
        "graph": variant.file,
        "graph_sha256": manifest.files[variant.file].sha256,
    }


@dataclass(frozen=True)
class _Hashed:
    sha256: str


@dataclass(frozen=True)
class _BackendPart:
    name: str
    precision: str

    def __post_init__(self) -> None:
        """Raise ValueError for a backend or a precision that this hambatch does not know."""
        _refuse_unknown("name", self.name, BACKENDS)
        _refuse_unknown("precision", self.precision, USED)


@dataclass(frozen=True)
class _Calibration:
    temperature: Annotated[float, Meta(gt=0)] | None = None


@dataclass(frozen=True)
class _Fingerprint:
    engine: dict[str, Any]
    listing: _Hashed
    backend: _BackendPart
    calibration: _Calibration = field(default_factory=_Calibration)


@dataclass(frozen=True)
class _Record:
    """The parts of a record that are used later; records of old versions lack some."""

    state: Literal["finished"]
    output: _Hashed
    fingerprint: _Fingerprint
    not_scored: dict[str, Any]
    options: dict[str, Any]
    device: DeviceHistory = field(default_factory=DeviceHistory)
    calibration: _Calibration = field(default_factory=_Calibration)


def read_record(path: Path) -> dict[str, Any]:
    """Read the record of a finished run; raises InputError if there is none, or not a whole one."""
    try:
        with open_regular(path) as stream:
            record: dict[str, Any] = read_json(stream.read(MOST_BYTES + 1), dict[str, Any])
        _check(record)
    except (OSError, ValueError) as error:
        what = error.strerror if isinstance(error, OSError) else f"{error}"
        raise InputError(
            f"{path} cannot be used as the record of a run: {what}; "
            "wanted the file that hambatch score left beside its table.\n"
            "Next: hambatch score SOURCE --out preds.csv"
        ) from error
    return record


def _check(record: dict[str, Any]) -> None:
    # An escape such as \ud800 is JSON, but half a character: no message could show it.
    json.dumps(record, ensure_ascii=False).encode()
    found = convert(record, _Record)
    convert(record["fingerprint"], dict[str, dict[str, Any]])
    survey_of(found.not_scored, "not_scored")
    carried_in(record)
    options_of(found.options)
    stated, used = found.calibration.temperature, found.fingerprint.calibration.temperature
    if stated != used:
        raise ValueError(f"calibration.temperature is {stated!r}, its fingerprint's is {used!r}")


def temperature_used(record: dict[str, Any]) -> float | None:
    """Give the temperature of a run's rows; None: none was applied, as before there were any."""
    temperature: float | None = record.get("calibration", {}).get("temperature")
    return temperature


def update_in(record: dict[str, Any]) -> dict[str, Any]:
    """Give what a record says of ``--update``; nothing where the run was none."""
    found = record.get("update")
    return found if isinstance(found, dict) else {}


def history_of(record: dict[str, Any]) -> DeviceHistory:
    """Read what became of the devices; versions that did not keep it had nothing to say."""
    return convert(record.get("device", {}), DeviceHistory)


def oldest_row_utc(record: dict[str, Any]) -> str:
    """Read when the run of a table's oldest rows began; empty if the record does not say."""
    known = [record.get("changed_since_begun"), record.get("timing")]
    for part, key in zip(known, ("since_utc", "begun_utc"), strict=True):
        said = part.get(key) if isinstance(part, dict) else None
        with suppress(ValueError):
            return datetime.fromisoformat(str(said)).astimezone(UTC).isoformat(timespec="seconds")
    return ""


_NEEDED = frozenset(
    "engine backend precision follow_symlinks max_megabytes max_megapixels decode_seconds "
    "salvage_truncated".split()
)
"""Options that decide rows, and that every version has recorded; others have their default."""

_NOT_LIMITED = {"min_side": 1, "max_aspect": 1e9}
"""What a run did whose record lacks these limits: it came before they existed."""


def options_of(recorded: dict[str, Any]) -> ScoreOptions:
    """Read the options of a run back; those that are not known any more are left out.

    Raises ValueError, naming an option that is missing, or has a value that it cannot have.
    """
    missing = sorted(_NEEDED - recorded.keys())
    if missing:
        raise ValueError(f"options.{missing[0]} is missing")
    try:
        options = convert(_NOT_LIMITED | recorded, ScoreOptions)
        _refuse_unknown("backend", options.backend, (AUTO, *BACKENDS))
        _refuse_unknown("precision", options.precision, WANTED)
        numbers_in(options.device)
    except (ValueError, InputError) as error:
        raise ValueError(f"options: {error}") from error
    return replace(options, engine=decode_name(options.engine))


def _refuse_unknown(name: str, found: str, known: Collection[str]) -> None:
    if found not in known:
        raise ValueError(f"{name} is {found!r}, wanted one of {', '.join(known)}")
