"""The record beside every output: what ran, on what, how it ended; written, and read back."""

import json
import math
import platform
from collections import Counter
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hambatch import __version__
from hambatch.backends import BACKENDS
from hambatch.backends.test_time_augmentation import MOST
from hambatch.engines.loading import Engine, installed_engines
from hambatch.engines.precision import AUTO, USED, WANTED, graph_precision
from hambatch.engines.probabilities import as_wanted, temperature_of
from hambatch.errors import InputError, SentinelError
from hambatch.pipelines.options import DecoderOptions
from hambatch.score.journal.folder import history_of, survey_of
from hambatch.score.options import ScoreOptions
from hambatch.score.plan import Plan, numbers_in
from hambatch.sources.listing import Changes, Listing
from hambatch.system.cpu import available_cores
from hambatch.system.packages import library_versions
from hambatch.system.text import decode_name, encode_name
from hambatch.types import Row

_RANGES: dict[str, tuple[float, float]] = {
    "batch_size": (1, 1024),
    "threads": (0, 1e6),
    "streams": (0, 1024),
    "decode_threads": (0, 1024),
    "readers": (1, 256),
    "prefetch": (1, 32),
    "sentinel_every": (1, 1e18),
    "max_megabytes": (0, 1e300),
    "max_megapixels": (0, 1e300),
    "decode_seconds": (0, 1e9),
    "fail_over": (0, 100),
    "tta": (1, MOST),
}
"""What a number may be; infinity is none."""


_MAY_LACK = frozenset(
    "device decoder force model_cache batch_size threads streams decode_threads".split()
    + "readers prefetch fail_over sentinel_every tta calibration".split()
)
"""Options that decide no row, or of which a version that did not know them had the default."""


def check_record(record: Any) -> None:
    """Make sure that every part that is used later is there, and of its kind.

    Raises
    ------
    ValueError
        Naming the part.
    """
    # An escape such as \ud800 is JSON, but half a character: no message could show it.
    json.dumps(record, ensure_ascii=False).encode()
    state = _part(record, "state")
    if state != "finished":
        raise ValueError(f"its state is {state!r}, wanted 'finished'")
    for names in (("output", "sha256"), ("fingerprint", "listing", "sha256")):
        _wanted(".".join(names), _part(record, *names), str)
    fingerprint = _part(record, "fingerprint")
    for name in ("engine", *fingerprint):
        _wanted(f"fingerprint.{name}", _part(fingerprint, name), dict)
    precision_used(record)
    backend_used(record)
    temperature_used(record)
    _check_survey(_part(record, "not_scored"))
    history_of(record.get("device", {}))
    options_of(_part(record, "options"))


def precision_used(record: dict[str, Any]) -> str:
    """Name the precision of a run's rows; its option may have been ``auto``.

    Raises
    ------
    ValueError
        If it is not recorded, or none that this hambatch knows.
    """
    found = _part(record, "fingerprint", "backend", "precision")
    if found not in USED:
        wanted = " or ".join(USED)
        raise ValueError(f"its fingerprint.backend.precision is {found!r}, wanted {wanted}")
    return str(found)


def backend_used(record: dict[str, Any]) -> str:
    """Name the backend of a run's rows; its option may have been ``auto``.

    Raises
    ------
    ValueError
        If it is not recorded, or none that this hambatch knows.
    """
    found = _part(record, "fingerprint", "backend", "name")
    if found not in BACKENDS:
        raise ValueError(f"its fingerprint.backend.name is {found!r}, wanted one of {[*BACKENDS]}")
    return str(found)


def temperature_used(record: dict[str, Any]) -> float | None:
    """Give the temperature that a run's rows were calibrated with; None: with none.

    Records of before there was any say nothing.

    Raises
    ------
    ValueError
        If it is no temperature, or not that of the fingerprint.
    """
    told = _part(record, "calibration", "temperature") if "calibration" in record else None
    known = None if told is None else _checked_temperature(told)
    found = _part(record, "fingerprint").get("calibration", {}).get("temperature")
    if known != found or isinstance(found, bool):
        raise ValueError(f"its calibration.temperature is {told!r}, its fingerprint's {found!r}")
    return known


def _checked_temperature(found: Any) -> float:
    # True is an int, and NaN is in no range.
    if type(found) not in (int, float) or not 0 < found < math.inf:
        raise ValueError(f"its calibration.temperature is {found!r}, wanted a number above 0")
    return float(found)


def options_of(recorded: Any) -> ScoreOptions:
    """Read the options of a run back; those that are not known any more are left out.

    Raises
    ------
    ValueError
        Naming an option that is missing, or has a value that it cannot have.
    """
    known = {}
    for option in fields(ScoreOptions):
        if isinstance(recorded, dict) and option.name not in recorded and option.name in _MAY_LACK:
            continue
        value = known[option.name] = _part(recorded, option.name)
        if option.name == "decoder":
            known[option.name] = _decoder(value)
        elif not _possible(option.name, value, option.default):
            raise ValueError(f"its option {option.name} is {value!r}")
    return ScoreOptions(**known | {"engine": decode_name(known["engine"])})


def _possible(name: str, value: Any, default: Any) -> bool:
    if name == "backend":
        return isinstance(value, str) and value in (AUTO, *BACKENDS)
    if name == "device":
        return isinstance(value, str) and _is_device(value)
    if name == "precision":
        return isinstance(value, str) and value in WANTED
    if isinstance(default, (bool, str)):
        return type(value) is type(default) and value != ""
    # An int is what JSON makes of 64; true and false are no numbers.
    kinds = (int, float) if isinstance(default, float) else (int,)
    low, high = _RANGES[name]
    return type(value) in kinds and low <= value <= high


def _is_device(value: str) -> bool:
    try:
        numbers_in(value)
    except InputError:
        return False
    return True


def _decoder(recorded: Any) -> DecoderOptions:
    """Read the nested options of a GPU's decoder."""
    default, known = asdict(DecoderOptions()), {}
    for name, value in _wanted("options.decoder", recorded, dict).items():
        if name in default:
            kind = type(default[name])
            if type(value) is not kind or (kind is float and not 0 <= value <= 1):
                raise ValueError(f"its option decoder.{name} is {value!r}")
            known[name] = value
    return DecoderOptions(**known)


def _check_survey(raw: Any) -> None:
    try:
        survey = survey_of(raw)
    except (KeyError, TypeError) as error:
        raise ValueError(f"its not_scored cannot be read ({error})") from error
    lists = (survey.others, survey.links_left)
    names = [name for one in lists for name in _wanted("not_scored names", one.names, list)]
    reasons = _wanted("not_scored.unreadable", survey.unreadable, dict)
    for text in (*names, *reasons.values()):
        _wanted("not_scored", text, str)
    for one in lists:
        _wanted("not_scored count", one.count, int)


def _part(raw: Any, *names: str) -> Any:
    for k, name in enumerate(names, 1):
        if not isinstance(raw, dict) or name not in raw:
            raise ValueError(f"it has no {'.'.join(names[:k])}")
        raw = raw[name]
    return raw


def _wanted(name: str, found: Any, kind: type) -> Any:
    if type(found) is not kind:
        raise ValueError(f"its {name} is {found!r}, wanted {kind.__name__}")
    return found


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
    return temperature_of(as_wanted(facts.engine.manifest, facts.plan.options.calibration))


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
