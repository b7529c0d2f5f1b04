"""The record of a run against itself, its rows and the engine."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta

from hambatch.checks.verify.table import Difference
from hambatch.engines.backend_names import graph_precision
from hambatch.engines.loading import Engine
from hambatch.engines.manifest import Sha256
from hambatch.engines.referral import Rule
from hambatch.pipelines.options import RULES
from hambatch.scoring.journal.begun import DeviceHistory
from hambatch.scoring.journal.fingerprint import PIPELINE, has_checks, rules_of_decoding
from hambatch.scoring.plan import ON_GPU
from hambatch.scoring.record import ChangedSince, Tally, history_of, update_in
from hambatch.scoring.sentinels.own_answers import State
from hambatch.sinks.publish import CARRIED, changes_path, index_path
from hambatch.sources.folder import LeftOut
from hambatch.system.files import sha256_of_file
from hambatch.system.schema import convert
from hambatch.system.text import encode_name, first_names
from hambatch.types import Row

UNCHECKED = (
    "timing, machine, options of speed, how often sentinels and double checks were computed, "
    "why a device or a precision was chosen, what an update kept and changed, and files without a "
    "row"
)
"""Parts of a record that describe what is gone: only their form is checked."""

_Count = Annotated[int, Meta(ge=0)]
_Number = Annotated[float, Meta(ge=0)]
_Utc = Annotated[str, Meta(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00\Z")]
_Version = Annotated[str, Meta(pattern=r"^\d[\w.+-]*\Z")]


@dataclass(frozen=True)
class _Reports:
    """Counts of scored images with a structured report and without, and what wrote them."""

    written: _Count
    missing: _Count
    highdicom: _Version
    pydicom: _Version


@dataclass(frozen=True)
class _Output:
    file: Annotated[str, Meta(min_length=1)]
    sha256: Sha256
    reports: _Reports | None = None


@dataclass(frozen=True)
class _OfDevice:
    """What one device's sentinels were."""

    checked: _Count
    every: Annotated[int, Meta(ge=1)]
    reference: Literal["engine", "first pass of this run", "an earlier run on this machine"]
    tolerance: _Number
    deviation: _Number
    own_answers: State = "none"
    tolerance_at_start: _Number | None = None
    deviation_at_start: _Number | None = None

    def __post_init__(self) -> None:
        """Raise ValueError if a deviation is one that stops a run."""
        if self.deviation > self.tolerance:
            raise ValueError(f"deviation {self.deviation} is above tolerance {self.tolerance}")
        if (self.deviation_at_start or 0.0) > (self.tolerance_at_start or 0.0):
            raise ValueError("deviation_at_start is above tolerance_at_start")


@dataclass(frozen=True)
class _Sentinels(_OfDevice):
    """Those of the first device; with several devices, of each by name."""

    by_device: dict[str, _OfDevice] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raise ValueError if the devices' counts do not add up."""
        super().__post_init__()
        counted = sum(one.checked for one in self.by_device.values())
        if self.by_device and counted != self.checked:
            raise ValueError(f"sentinels.checked is {self.checked}, of the devices {counted}")


@dataclass(frozen=True)
class _DoubleCheck:
    """Records of before there was a ``--double-check`` have none."""

    percent: Annotated[float, Meta(ge=0, le=100)]
    requests: _Count
    images: _Count
    differences: _Count

    def __post_init__(self) -> None:
        """Raise ValueError if a run would have stopped, or could not have counted so."""
        if self.differences:
            raise ValueError(f"double_check.differences is {self.differences}, wanted 0")
        if self.requests > self.images or (self.images and not self.percent):
            raise ValueError(
                f"double_check has {self.requests} requests of {self.images} images, of "
                f"{self.percent:g} %"
            )


@dataclass(frozen=True)
class _Update:
    """Only runs with ``--update`` have it."""

    added: _Count
    removed: _Count
    changed: _Count
    moved: _Count
    rescored: _Count
    reused_by_stat: _Count
    reused_by_sha256: _Count
    refused: _Count
    scored: _Count
    rehashed: _Count
    other_bytes: LeftOut
    rescored_because: str
    index_not_used: str
    before_sha256: Annotated[str, Meta(pattern=r"^([0-9a-f]{64})?\Z")]
    changes_sha256: Sha256
    index_sha256: Sha256
    risk_changed: _Count = 0

    def __post_init__(self) -> None:
        """Raise ValueError if rows were kept of no table, or all are said to be scored again."""
        kept = self.reused_by_stat + self.reused_by_sha256
        if kept and (self.rescored_because or not self.before_sha256):
            raise ValueError(f"update keeps {kept} rows, and says that there are none to keep")

    @property
    def images(self) -> int:
        """All images of the run."""
        return self.reused_by_stat + self.reused_by_sha256 + self.refused + self.scored


@dataclass(frozen=True)
class _Risk:
    """The rules of certificates, by backend and precision."""

    rules: dict[str, tuple[Rule, ...]]


@dataclass(frozen=True)
class _Precision:
    wanted: Literal["auto", "fp32", "fp16", "bf16", "int8", "int8-bf16"]
    used: Literal["fp32", "fp16", "bf16", "int8", "int8-bf16"]
    why: str
    gate: Literal["passed", "tuned", "failed", "not measured here", "not needed"]
    forced: bool


@dataclass(frozen=True)
class _Device:
    kind: Literal["cpu", "gpu"]
    gpus: list[dict[str, Any]]
    why: str
    cores: Annotated[int, Meta(ge=1)]
    machine: str = ""
    system: str = ""


@dataclass(frozen=True)
class _Timing:
    begun_utc: _Utc
    started_utc: _Utc
    ended_utc: _Utc
    seconds: _Number
    images: _Count
    images_per_s: _Number | None
    workers_lost: list[str] = field(default_factory=list)
    batches_not_trusted: dict[str, _Count] = field(default_factory=dict)
    stages: dict[str, _Number] = field(default_factory=dict)


@dataclass(frozen=True)
class _Ran:
    device: dict[str, Any]
    versions: dict[str, str]
    limits: dict[str, Any]


@dataclass(frozen=True)
class _Form:
    """Types and ranges of what :mod:`hambatch.scoring.record` does not check to read it.

    ``precision`` is absent in records from before there was a choice, ``double_check`` in those
    from before there was one.
    """

    hambatch: _Version
    source: Annotated[str, Meta(min_length=1)] | list[str]
    output: _Output
    counts: dict[str, Any]
    fingerprint: _Ran
    sentinels: _Sentinels
    engine: dict[str, str]
    device: _Device
    timing: _Timing
    versions: dict[str, _Version]
    precision: _Precision | None = None
    double_check: _DoubleCheck | None = None
    update: _Update | None = None
    risk: _Risk | None = None
    changed_since_begun: ChangedSince = field(default_factory=ChangedSince)


def compare_beside(record: dict[str, Any], table: Path) -> Iterator[Difference]:
    """Yield the files of an update beside its table that are not those that were recorded."""
    wanted = update_in(record)
    for path, key in ((changes_path(table), "changes_sha256"), (index_path(table), "index_sha256")):
        if key in wanted and path.is_file() and (found := sha256_of_file(path)) != wanted[key]:
            what = f"{encode_name(path.name)} is not the one that was recorded"
            yield Difference("", what, wanted[key], found)


def _names_of(*kinds: Any) -> set[str]:
    return {one.name for kind in kinds for one in fields(kind)}


_KEYS = {
    "": _names_of(_Form) | {"state", "not_scored", "calibration", "options"},
    "output": _names_of(_Output) | {CARRIED},
    "counts": set(Tally().to_json()),
    "changed_since_begun": _names_of(ChangedSince),
    "sentinels": _names_of(_Sentinels),
    "double_check": _names_of(_DoubleCheck),
    "update": _names_of(_Update),
    "risk": _names_of(_Risk),
    "engine": {"name", "version", "engine_json_sha256", "graph", "graph_sha256"},
    "precision": _names_of(_Precision),
    "calibration": {"temperature"},
    "device": _names_of(_Device, DeviceHistory),
    "timing": _names_of(_Timing),
}
"""What a run writes; in another key stands what somebody else says."""


def compare_record(
    record: dict[str, Any], rows: list[Row] | None, engine: Engine
) -> Iterator[Difference]:
    """Yield what the record says that its other parts, its rows or the engine contradict.

    ``rows`` None: the table cannot be read whole, so that nothing is counted.
    """
    try:
        form = convert(record, _Form)
    except ValueError as error:
        yield Difference("", "record: no run writes this", str(error))
        return
    for place, known in _KEYS.items():
        part = record.get(place, {}) if place else record
        if unknown := sorted(part.keys() - known):
            what = " ".join(["record: keys that no run writes", *(["in", place] if place else [])])
            yield Difference("", what, first_names(unknown))
    pairs = _within(record, form)
    pairs |= _with_engine(record, engine)
    if rows is not None:
        pairs |= _with_rows(record, rows)
    for key, (found, wanted) in pairs.items():
        if found != wanted:
            yield Difference("", f"record: {key}", str(found), str(wanted))


Pairs = dict[str, tuple[object, object]]
"""By the key of the record: what stands there, and what has to."""


def _within(record: dict[str, Any], form: _Form) -> Pairs:
    """Pair what a record says in two places."""
    ran, options = record["fingerprint"], record["options"]
    listing, backend = ran["listing"], ran["backend"]
    pairs: Pairs = {
        "source": (form.source, listing.get("source")),
        "versions.hambatch": (form.versions.get("hambatch"), form.hambatch),
        "sentinels.every": (form.sentinels.every, options.get("sentinel_every", 1)),
        "options.tta": (options.get("tta", 1), backend.get("tta", 1)),
        "options.follow_symlinks": (options["follow_symlinks"], listing.get("follow_symlinks")),
        "options.keep_ids": (options.get("keep_ids", False), listing.get("keep_ids", False)),
        "options.archives": (options.get("archives", False), listing.get("archives", False)),
    }
    if rules_of_decoding(ran) not in range(1, RULES + 1):
        pairs[f"fingerprint.{PIPELINE}.rules"] = ran[PIPELINE]["rules"], f"1 to {RULES}"
    if form.update:
        pairs["update"] = form.update.images, record["counts"].get("images")
    if reports := form.output.reports:
        scored = record["counts"].get("scored")
        pairs["output.reports"] = reports.written + reports.missing, scored
    if form.double_check:
        given = options.get("double_check", 0.0)
        pairs["double_check.percent"] = form.double_check.percent, given
    if form.precision:
        pairs["precision.wanted"] = form.precision.wanted, options["precision"]
    if options["backend"] != "auto":
        pairs["options.backend"] = options["backend"], backend["name"]
    if options["precision"] != "auto":
        pairs["options.precision"] = options["precision"], backend["precision"]
    for name, value in ran["limits"].items():
        pairs[f"fingerprint.limits.{name}"] = value, options.get(name)
    # After a hand-over these describe what took over, and the fingerprint what began.
    return pairs if history_of(record).handed_over else pairs | _with_machine(record, form)


def _with_machine(record: dict[str, Any], form: _Form) -> Pairs:
    ran = record["fingerprint"]
    computing = "gpu" if ran["backend"]["name"] == ON_GPU else "cpu"
    versions = {
        f"fingerprint.versions.{name}": (value, form.versions.get(name))
        for name, value in ran["versions"].items()
    }
    return {
        "precision.used": (
            form.precision.used if form.precision else ran["backend"]["precision"],
            ran["backend"]["precision"],
        ),
        "device.kind": (form.device.kind, computing),
        "fingerprint.device.kind": (ran["device"].get("kind"), computing),
        **versions,
    }


def _with_engine(record: dict[str, Any], engine: Engine) -> Pairs:
    """Pair the engine's part with the engine; ``fingerprint.engine`` is compared elsewhere."""
    manifest, part = engine.manifest, record["engine"]
    variant = manifest.variant(graph_precision(record["fingerprint"]["backend"]["precision"]))
    wanted = {
        "name": manifest.name,
        "version": manifest.version,
        "engine_json_sha256": engine.manifest_sha256,
        "graph": variant.file,
        "graph_sha256": manifest.files[variant.file].sha256,
    }
    pairs: Pairs = {f"engine.{key}": (part.get(key), value) for key, value in wanted.items()}
    # One number for every precision and backend.
    pairs["sentinels.tolerance"] = record["sentinels"]["tolerance"], manifest.sentinels.tolerance
    return pairs


def _with_rows(record: dict[str, Any], rows: list[Row]) -> Pairs:
    """Pair counts and the listing's hash with those of the table."""
    tally, names = Tally(), hashlib.sha256()
    for row in rows:
        tally.count(row)
        names.update(f"{encode_name(row.image)}\n".encode())
    wanted = tally.to_json(checked=has_checks(record))
    counts, ran = record["counts"], record["fingerprint"]
    pairs: Pairs = {f"counts.{key}": (counts.get(key), value) for key, value in wanted.items()}
    pairs["fingerprint.listing.images"] = ran["listing"].get("images"), tally.images
    # Where a listing says more than names, it has a hash of those alone.
    key = "names_sha256" if "names_sha256" in ran["listing"] else "sha256"
    pairs[f"fingerprint.listing.{key}"] = ran["listing"][key], names.hexdigest()
    if record["timing"]["images"] > tally.images:
        pairs["timing.images"] = record["timing"]["images"], f"at most {tally.images}"
    return pairs
