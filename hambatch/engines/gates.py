"""The `gates` of a graph in `engine.json`: what INT8 costs against FP32, and where."""

from dataclasses import dataclass, field, fields
from typing import Any


@dataclass(frozen=True)
class Limits:
    """What INT8 may cost: a share of the labels, and points of two figures."""

    label_flip_share: float = 0.02
    balanced_accuracy_loss: float = 0.5
    melanoma_sensitivity_loss: float = 1.0


LIMITS = Limits()


@dataclass(frozen=True)
class Change:
    """A figure, 0 to 1, by either graph on the same images.

    ``change`` is INT8 minus FP32 in percentage points, and ``interval`` its 95 %
    interval by bootstrap over lesions.
    """

    fp32: float
    int8: float
    interval: tuple[float, float]
    change: float = field(init=False)

    def __post_init__(self) -> None:
        """Work the change out; rounded, or one melanoma of 100 would be more than a point."""
        object.__setattr__(self, "change", round(100 * (self.int8 - self.fp32), 9))


@dataclass(frozen=True)
class Gate:
    """INT8 measured against FP32 on validation images, by one backend on one instruction set.

    ``split_sha256`` is of the split table; ``fp32_sha256`` and ``int8_sha256`` of the graphs:
    of another graph this says nothing. What follows from the numbers is worked out here,
    whatever a file says.
    """

    backend: str
    instruction_set: str
    images: int
    lesions: int
    label_flips: int
    balanced_accuracy: Change
    melanoma_sensitivity: Change
    split_sha256: str
    fp32_sha256: str
    int8_sha256: str
    versions: dict[str, str] = field(default_factory=dict)
    label_flip_share: float = field(init=False)
    limits: Limits = field(init=False, default=LIMITS)
    passed: bool = field(init=False)

    def __post_init__(self) -> None:
        """Judge the numbers by the limits: by the estimates, not by their intervals."""
        share = self.label_flips / self.images
        passed = (
            share <= self.limits.label_flip_share
            and self.balanced_accuracy.change >= -self.limits.balanced_accuracy_loss
            and self.melanoma_sensitivity.change >= -self.limits.melanoma_sensitivity_loss
        )
        object.__setattr__(self, "label_flip_share", share)
        object.__setattr__(self, "passed", passed)


def read_gate(raw: dict[str, Any]) -> Gate:
    """Type one entry; raises TypeError, KeyError or ValueError at what does not belong."""
    values = {name: value for name, value in raw.items() if name not in _derived(Gate)}
    for name in ("balanced_accuracy", "melanoma_sensitivity"):
        values[name] = _change(name, raw[name])
    for name in ("backend", "instruction_set", "split_sha256", "fp32_sha256", "int8_sha256"):
        values[name] = _text(name, raw[name])
    for name, least, most in (
        ("images", 1, raw["images"]),
        ("lesions", 1, raw["images"]),
        ("label_flips", 0, raw["images"]),
    ):
        if type(raw[name]) is not int or not least <= raw[name] <= most:
            raise ValueError(f"a gate's {name} is {raw[name]!r}, wanted {least} to its images")
    values["versions"] = {_text(k, k): _text(k, v) for k, v in raw.get("versions", {}).items()}
    return Gate(**values)


def _change(name: str, raw: dict[str, Any]) -> Change:
    values = {key: value for key, value in raw.items() if key not in _derived(Change)}
    low, high = map(float, raw["interval"])
    for key in ("fp32", "int8"):
        values[key] = float(raw[key])
        # NaN is in no range.
        if not 0 <= values[key] <= 1:
            raise ValueError(f"a gate's {name} {key} is {raw[key]!r}, wanted 0 to 1")
    if not -100 <= low <= high <= 100:
        raise ValueError(f"a gate's {name} interval is {raw['interval']!r}, wanted two points")
    return Change(**{**values, "interval": (low, high)})


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"a gate's {name} is {value!r}, wanted text")
    return value


def _derived(kind: type[Gate] | type[Change]) -> set[str]:
    return {one.name for one in fields(kind) if not one.init}
