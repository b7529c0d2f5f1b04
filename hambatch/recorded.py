"""What a record has to hold before anything relies on it, whoever wrote to it meanwhile."""

import json
from dataclasses import asdict, fields
from typing import Any

from hambatch.backends import BACKENDS
from hambatch.config import ScoreOptions
from hambatch.engines.calibration_spec import checked_temperature
from hambatch.engines.choice import AUTO, USED, WANTED
from hambatch.errors import InputError
from hambatch.journal.device_history import history_of
from hambatch.journal.folder import survey_of
from hambatch.names import decode_name
from hambatch.pipelines.decoder_options import DecoderOptions
from hambatch.placement import numbers_in
from hambatch.views import MOST

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
    known = None if told is None else checked_temperature("calibration.temperature", told)
    found = _part(record, "fingerprint").get("calibration", {}).get("temperature")
    if known != found or isinstance(found, bool):
        raise ValueError(f"its calibration.temperature is {told!r}, its fingerprint's {found!r}")
    return known


def options_of(recorded: Any) -> ScoreOptions:
    """Read the options of a run back; those that are not known any more are left out.

    Raises
    ------
    ValueError
        Naming an option that is missing, or has a value that it cannot have.
    """
    known = {}
    for field in fields(ScoreOptions):
        if isinstance(recorded, dict) and field.name not in recorded and field.name in _MAY_LACK:
            continue
        value = known[field.name] = _part(recorded, field.name)
        if field.name == "decoder":
            known[field.name] = _decoder(value)
        elif not _possible(field.name, value, field.default):
            raise ValueError(f"its option {field.name} is {value!r}")
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
