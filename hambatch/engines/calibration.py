"""The `calibration` of `engine.json`: a fitted temperature, on what, and what it changed."""

import math
from dataclasses import dataclass, fields
from typing import Any

Interval = tuple[float, float]


SCORED, OUT_OF_FOLD = "scored", "out of fold"
"""Predictions of the engine itself, or of the networks of a cross-validation."""


@dataclass(frozen=True)
class FittedOn:
    """The predictions that a temperature was fitted on.

    ``parts`` of the split table whose sha256 is ``split_sha256``; ``precision`` of the graph,
    empty where no graph was scored with; ``predictions_sha256`` of a table that was given.
    """

    source: str
    split_sha256: str
    parts: tuple[str, ...]
    images: int
    lesions: int
    precision: str = ""
    predictions_sha256: str = ""


@dataclass(frozen=True)
class Improvement:
    """A figure without and with the temperature, and its 95 % intervals by lesion."""

    before: float
    before_interval: Interval
    after: float
    after_interval: Interval


@dataclass(frozen=True)
class Calibration:
    """``temperature``: probabilities are raised to the power of 1 / temperature and normalised."""

    temperature: float
    fitted_on: FittedOn
    log_loss: Improvement
    ece: Improvement


def read_calibration(raw: Any) -> Calibration:
    """Type the section; raises ValueError, naming what does not belong."""
    values = _section("calibration", raw, Calibration)
    values["temperature"] = checked_temperature("calibration's temperature", raw["temperature"])
    values["fitted_on"] = _fitted_on(raw["fitted_on"])
    for name, most in (("log_loss", math.inf), ("ece", 1.0)):
        values[name] = _improvement(name, raw[name], most)
    return Calibration(**values)


def checked_temperature(name: str, value: Any) -> float:
    """Give the number; raises ValueError, naming it, if it is none that can be divided by."""
    # True is an int, and NaN is in no range.
    if type(value) not in (int, float) or not 0 < value < math.inf:
        raise ValueError(f"its {name} is {value!r}, wanted a number above 0")
    return float(value)


def _fitted_on(raw: Any) -> FittedOn:
    values = _section("fitted_on", raw, FittedOn)
    for name in ("source", "split_sha256", "precision", "predictions_sha256"):
        _check(name, raw[name], isinstance(raw[name], str), "text")
    for name in ("images", "lesions"):
        _check(name, raw[name], type(raw[name]) is int and raw[name] > 0, "how many there are")
    parts = raw["parts"]
    named = isinstance(parts, list) and all(isinstance(part, str) for part in parts)
    _check("parts", parts, named and bool(parts), "names of parts")
    return FittedOn(**{**values, "parts": tuple(parts)})


def _improvement(name: str, raw: Any, most: float) -> Improvement:
    values = _section(name, raw, Improvement)
    for key in ("before", "after"):
        good = _is_figure(raw[key], most)
        _check(f"{name} {key}", raw[key], good, "a figure")
        interval = values[f"{key}_interval"] = _interval(raw[f"{key}_interval"], most)
        _check(f"{name} {key}_interval", raw[f"{key}_interval"], bool(interval), "two figures")
    return Improvement(**values)


def _interval(raw: Any, most: float) -> Interval | None:
    if not isinstance(raw, list) or len(raw) != 2 or not all(_is_figure(b, most) for b in raw):
        return None
    return raw[0], raw[1]


def _is_figure(value: Any, most: float) -> bool:
    return type(value) in (int, float) and 0 <= value <= most and value < math.inf


def _section(name: str, raw: Any, kind: type) -> dict[str, Any]:
    """Give a section's values, if its fields are those of ``kind``."""
    _check(name, raw, isinstance(raw, dict), "an object")
    wanted = [field.name for field in fields(kind)]
    if raw.keys() != set(wanted):
        raise ValueError(f"its {name} has {', '.join(raw)}, wanted {', '.join(wanted)}")
    return dict(raw)


def _check(name: str, value: Any, good: bool, wanted: str) -> None:
    if not good:
        raise ValueError(f"its calibration's {name} is {value!r}, wanted {wanted}")
