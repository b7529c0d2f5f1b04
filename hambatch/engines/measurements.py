"""What `engine.json` holds of measurements: gates, temperature, figures on other images."""

from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, Literal, get_args

from msgspec import Meta

from hambatch.engines.backend_names import BF16, FP32, INT8, INT8_BF16, Cheaper, graph_precision
from hambatch.engines.classes import CLASSES
from hambatch.system.text import excerpt

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
    """What a precision may cost: a share of the labels, and percentage points of two figures."""

    label_flip_share: float = 0.02
    balanced_accuracy_loss: float = 0.5
    melanoma_sensitivity_loss: float = 1.0


LIMITS = {INT8: Limits(), INT8_BF16: Limits(), BF16: Limits(label_flip_share=0.005)}
"""Of each cheaper precision. BF16 rounds weights and activations less than INT8 does."""

Part = Literal["val", "gate"]
VAL: Part
GATE: Part
VAL, GATE = "val", "gate"
"""Parts of a split table that a gate is measured on: the second where a table has it."""


@dataclass(frozen=True)
class Change:
    """A figure by either precision on the same images.

    ``change`` is the cheaper one's minus FP32's in percentage points, and ``interval`` its 95 %
    interval by bootstrap over lesions. In ``engine.json`` the name of the precision stands for
    ``cheaper``.
    """

    fp32: Share
    cheaper: Share
    interval: tuple[Points, Points]
    change: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        """Compute the change; rounded, or one melanoma of 100 would be more than a point."""
        if self.interval[0] > self.interval[1]:
            raise ValueError(f"interval is {list(self.interval)}, wanted the lower bound first")
        object.__setattr__(self, "change", round(100 * (self.cheaper - self.fp32), 9))


@dataclass(frozen=True)
class Gate:
    """A cheaper precision measured against FP32, by one backend on one instruction set.

    It holds for the graphs of ``fp32_sha256`` and, unless the precision runs that one too,
    ``int8_sha256`` only; ``split_sha256`` is of the split table, and ``part`` the images of it
    that were scored. The last three fields are computed, whatever a file says.
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
    int8_sha256: Text | None = None
    versions: dict[Text, Text] = field(default_factory=dict)
    part: Part = "val"
    precision: Cheaper = "int8"
    label_flip_share: float = field(init=False, default=0.0)
    limits: Limits = field(init=False, default=LIMITS[INT8])
    passed: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        """Judge the numbers by the limits: by the estimates, not by their intervals."""
        for name in ("lesions", "label_flips"):
            if getattr(self, name) > self.images:
                raise ValueError(f"{name} is {getattr(self, name)}, wanted at most its images")
        if (self.int8_sha256 is None) != (graph_precision(self.precision) == FP32):
            found, where = self.int8_sha256, "only where the INT8 graph runs"
            raise ValueError(f"int8_sha256 is {found}, wanted it {where}")
        share, limits = self.label_flips / self.images, LIMITS[self.precision]
        passed = (
            share <= limits.label_flip_share
            and self.balanced_accuracy.change >= -limits.balanced_accuracy_loss
            and self.melanoma_sensitivity.change >= -limits.melanoma_sensitivity_loss
        )
        for name, value in (("label_flip_share", share), ("limits", limits), ("passed", passed)):
            object.__setattr__(self, name, value)

    @property
    def graphs(self) -> tuple[str, str]:
        """The sha256 of the FP32 graph, and that of the graph which is measured against it."""
        return self.fp32_sha256, self.int8_sha256 or self.fp32_sha256

    @property
    def machine(self) -> tuple[str, str, str]:
        """What there is one gate for: precision, backend and instruction set."""
        return self.precision, self.backend, self.instruction_set

    def to_json(self) -> dict[str, Any]:
        """Plain values; no ``part`` where it is ``val``, no ``precision`` where it is ``int8``."""
        values = asdict(self)
        for name in _CHANGES:
            found = values[name]
            values[name] = {
                self.precision if key == "cheaper" else key: found[key] for key in found
            }
        if self.part == VAL:
            del values["part"]
        if self.precision == INT8:
            del values["precision"]
        if self.int8_sha256 is None:
            del values["int8_sha256"]
        return values


_CHANGES = ("balanced_accuracy", "melanoma_sensitivity")


def gate_as_read(gate: Any) -> Any:
    """Put ``cheaper`` for the name of the precision in a gate's JSON, as :class:`Gate` has it.

    What is no gate stays as it is. Raises ValueError if a figure is not of the precision.
    """
    if not isinstance(gate, dict):
        return gate
    precision, read = gate.get("precision", INT8), dict(gate)
    if not isinstance(precision, str):
        precision = INT8  # the field itself is refused later
    for name in _CHANGES:
        change = gate.get(name)
        if isinstance(change, dict):
            if precision not in change or "cheaper" in change:
                found = excerpt(str(list(change)))
                raise ValueError(f"{name} has {found}, wanted fp32 and {excerpt(precision)}")
            read[name] = {"cheaper" if key == precision else key: change[key] for key in change}
    return read


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


Kind = Literal["internal", "held-out", "left-out", "degraded", "external"]
INTERNAL, HELD_OUT, LEFT_OUT, DEGRADED, EXTERNAL = KINDS = get_args(Kind)
"""What measured images are to the training.

A held-out part of the split table; held-out images of another source of the training; a source
that another training of the recipe left out; changed copies; images of any other source.
"""

FigureName = Literal["balanced_accuracy", "roc_auc_melanoma", "roc_auc_malignant", "ece"]
FIGURE_NAMES: tuple[FigureName, ...] = get_args(FigureName)

_UNPRINTABLE = r"\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff"
"""Control characters, ends of lines, changes of direction, and bytes that are no text."""

ImagesName = Annotated[
    str, Meta(min_length=1, max_length=100, pattern=rf"^(?!\s)[^{_UNPRINTABLE}|]+(?<!\s)\Z")
]
"""It is printed, and a cell of the card's table."""

Word = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_.+-]{1,50}\Z")]
"""Name of a backend or a precision, or a version."""

Digest = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]


@dataclass(frozen=True)
class Estimate:
    """A figure and its 95 % interval by lesion; None: it has none."""

    value: Share
    interval: tuple[Share, Share] | None = None

    def __post_init__(self) -> None:
        """Refuse an interval that does not hold its figure; it is of sums in another order."""
        low, high = self.interval or (self.value, self.value)
        if not low - ROUNDING <= self.value <= high + ROUNDING:
            raise ValueError(
                f"value is {self.value}, wanted one within its interval {low} to {high}"
            )


ROUNDING = 1e-6


@dataclass(frozen=True)
class Scored:
    """How the predictions were made: ``views`` are averaged for an image.

    ``temperature`` None: uncalibrated. ``graph_sha256`` None: not known, as in earlier engines.
    """

    backend: Word
    precision: Word
    views: Count = 1
    temperature: Temperature | None = None
    graph_sha256: Digest | None = None


@dataclass(frozen=True)
class FiguresOn:
    """The figures of an ``evaluation.json``, on images that were not trained on.

    Attributes
    ----------
    classes
        Images by their class; balanced accuracy is the mean over these classes.
    lesions
        None: the truth names no lesion.
    not_scored
        Images of the truth without a score, which are in no figure.
    part
        Of the truth's table; empty: all of it.
    scored
        None: by networks that are no engine.
    """

    kind: Kind
    name: ImagesName
    images: Count
    classes: dict[Text, Count]
    figures: dict[FigureName, Estimate]
    predictions_sha256: Digest
    truth_sha256: Digest
    hambatch: Word
    lesions: Count | None = None
    not_scored: Annotated[int, Meta(ge=0)] = 0
    part: Annotated[str, Meta(max_length=100)] = ""
    scored: Scored | None = None

    def __post_init__(self) -> None:
        """Refuse classes that are none, and counts that contradict each other."""
        if not set(self.classes) <= set(CLASSES):
            raise ValueError(f"classes are {list(self.classes)}, wanted some of {CLASSES}")
        if sum(self.classes.values()) != self.images:
            raise ValueError(f"images is {self.images}, wanted the sum of its classes")
        if (self.lesions or 0) > self.images:
            raise ValueError(f"lesions is {self.lesions}, wanted at most its images")
        if self.kind != LEFT_OUT and self.scored is None:
            raise ValueError(f"scored is missing, wanted it where kind is {self.kind}")

    def to_json(self) -> dict[str, Any]:
        """Plain values; no ``graph_sha256`` where it is not known."""
        values = asdict(self)
        if self.scored is not None and self.scored.graph_sha256 is None:
            del values["scored"]["graph_sha256"]
        return values
