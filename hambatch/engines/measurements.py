"""What `engine.json` holds of measurements: gates of INT8, and the fit of a temperature."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from msgspec import Meta

Count = Annotated[int, Meta(ge=1)]
Figure = Annotated[float, Meta(ge=0)]
Share = Annotated[float, Meta(ge=0, le=1)]
Points = Annotated[float, Meta(ge=-100, le=100)]
Text = Annotated[str, Meta(min_length=1)]
Temperature = Annotated[float, Meta(ge=1e-3, le=1e3)]
"""Of a fitted one; `hambatch engines calibrate` keeps well within."""
Interval = tuple[Figure, Figure]


@dataclass(frozen=True)
class Limits:
    """What INT8 may cost: a share of the labels, and percentage points of two figures."""

    label_flip_share: float = 0.02
    balanced_accuracy_loss: float = 0.5
    melanoma_sensitivity_loss: float = 1.0


LIMITS = Limits()

VAL, GATE = "val", "gate"
"""Parts of a split table that a gate is measured on: the second where a table has it."""


@dataclass(frozen=True)
class Change:
    """A figure by either graph on the same images.

    ``change`` is INT8 minus FP32 in percentage points, and ``interval`` its 95 %
    interval by bootstrap over lesions.
    """

    fp32: Share
    int8: Share
    interval: tuple[Points, Points]
    change: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        """Compute the change; rounded, or one melanoma of 100 would be more than a point."""
        if self.interval[0] > self.interval[1]:
            raise ValueError(f"interval is {list(self.interval)}, wanted the lower bound first")
        object.__setattr__(self, "change", round(100 * (self.int8 - self.fp32), 9))


@dataclass(frozen=True)
class Gate:
    """INT8 measured against FP32, by one backend on one instruction set.

    It holds for the graphs of ``fp32_sha256`` and ``int8_sha256`` only; ``split_sha256`` is of
    the split table, and ``part`` the images of it that were scored. The last three fields are
    computed, whatever a file says.
    """

    backend: Text
    instruction_set: Text
    images: Count
    lesions: Count
    label_flips: Annotated[int, Meta(ge=0)]
    balanced_accuracy: Change
    melanoma_sensitivity: Change
    split_sha256: Text
    fp32_sha256: Text
    int8_sha256: Text
    versions: dict[Text, Text] = field(default_factory=dict)
    part: Literal["val", "gate"] = "val"
    label_flip_share: float = field(init=False, default=0.0)
    limits: Limits = field(init=False, default=LIMITS)
    passed: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        """Judge the numbers by the limits: by the estimates, not by their intervals."""
        for name in ("lesions", "label_flips"):
            if getattr(self, name) > self.images:
                raise ValueError(f"{name} is {getattr(self, name)}, wanted at most its images")
        share = self.label_flips / self.images
        passed = (
            share <= LIMITS.label_flip_share
            and self.balanced_accuracy.change >= -LIMITS.balanced_accuracy_loss
            and self.melanoma_sensitivity.change >= -LIMITS.melanoma_sensitivity_loss
        )
        for name, value in (("label_flip_share", share), ("limits", LIMITS), ("passed", passed)):
            object.__setattr__(self, name, value)


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
    parts: Annotated[tuple[str, ...], Meta(min_length=1)]
    images: Count
    lesions: Count
    precision: str = ""
    predictions_sha256: str = ""


@dataclass(frozen=True)
class Improvement:
    """A figure without and with the temperature, and its 95 % intervals by lesion."""

    before: Figure
    before_interval: Interval
    after: Figure
    after_interval: Interval


@dataclass(frozen=True)
class Calibration:
    """``temperature``: probabilities are raised to the power of 1 / temperature and normalised."""

    temperature: Temperature
    fitted_on: FittedOn
    log_loss: Improvement
    ece: Improvement

    def __post_init__(self) -> None:
        """Refuse errors of calibration that are no shares."""
        for name, value in vars(self.ece).items():
            if max(value if isinstance(value, tuple) else (value,)) > 1:
                raise ValueError(f"ece.{name} is {value}, wanted 0 to 1")
