"""What `engine.json` holds of certificates: a threshold, what it promises, and what proves it."""

from dataclasses import asdict, dataclass, field
from math import exp, lgamma, log
from typing import Annotated, Any, Literal, get_args

from msgspec import Meta

from hambatch.engines.classes import CLASSES
from hambatch.engines.measurements import Count, Digest, Estimate, Scored, Share, Text, Word

Target = Literal["malignant", "melanoma"]
MALIGNANT_LESIONS, MELANOMA = TARGETS = get_args(Target)
"""What lesions are referred for: akiec, bcc and mel together; mel alone."""

Origin = Literal["certify", "external"]
CERTIFY: Origin
EXTERNAL: Origin
CERTIFY, EXTERNAL = "certify", "external"
"""Images of the split of that name of the engine's own table, or of no source of its training."""

LEAST_PROMISE = 0.5
"""A sensitivity or a confidence below it promises nothing that a coin does not keep."""

Promised = Annotated[float, Meta(ge=LEAST_PROMISE, lt=1)]
Number = Annotated[int, Meta(ge=0)]
Threshold = Annotated[float, Meta(gt=0, lt=1)]
Date = Annotated[str, Meta(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\+00:00\Z")]

ROUNDING = 1e-9
"""Relative: how far two computations of the same binomial sum may differ."""


@dataclass(frozen=True)
class Promise:
    """Images with a score of ``threshold`` or more are referred.

    Of the lesions of ``target``, at least the share ``sensitivity`` has no image below it, at the
    one-sided ``confidence``. ``step``: of the grid that the threshold was chosen from.
    """

    target: Target
    sensitivity: Promised
    confidence: Promised
    threshold: Threshold
    step: Threshold


@dataclass(frozen=True)
class Positive:
    """Lesions of the target that have a scored image.

    ``missed``: of which an image is not referred. ``sensitivity`` with its two-sided 95 % interval;
    ``lower_bound`` at the one-sided confidence of the promise. ``not_scored``: further lesions, all
    of whose images failed or have no row; they are in no figure.
    """

    lesions: Count
    missed: Number
    images: Count
    sensitivity: Estimate
    lower_bound: Share
    not_scored: Number = 0

    def __post_init__(self) -> None:
        """Refuse counts that contradict each other."""
        _refuse_more("missed", self.missed, "lesions", self.lesions)
        _refuse_more("lesions", self.lesions, "images", self.images)


@dataclass(frozen=True)
class Benign:
    """All other lesions with a scored image; ``referred``: of which at least one image is.

    ``specificity`` is the share of lesions without a referred image, with its 95 % interval, None
    without any lesion.
    """

    lesions: Number
    referred: Number
    images: Number
    images_referred: Number
    specificity: Estimate | None

    def __post_init__(self) -> None:
        """Refuse counts that contradict each other."""
        _refuse_more("referred", self.referred, "lesions", self.lesions)
        _refuse_more("images_referred", self.images_referred, "images", self.images)
        _refuse_more("lesions", self.lesions, "images", self.images)


@dataclass(frozen=True)
class NetBenefit:
    """Net benefit for a lesion at the threshold, and if all lesions are referred, or none."""

    at_threshold: float
    refer_all: float
    refer_none: float = 0.0


@dataclass(frozen=True)
class Found:
    """What a threshold does to labelled images; ``referred_share`` of all scored images."""

    positive: Positive
    benign: Benign
    referred_share: Share
    net_benefit: NetBenefit


@dataclass(frozen=True)
class CertifiedOn:
    """The labelled images.

    Attributes
    ----------
    part
        Value of the truth's column ``split``; empty: all of the table.
    failed, missing
        Images of the truth with a failed row, and without a row.
    other_classes, unlabelled
        Images that were left out.
    without_lesion_id
        Scored images that count as lesions of their own.
    map
        Labels of the truth that are no class names, and the class that they count as.
    """

    origin: Origin
    predictions_sha256: Digest
    truth_sha256: Digest
    part: Annotated[str, Meta(max_length=100)] = ""
    failed: Number = 0
    missing: Number = 0
    other_classes: Number = 0
    unlabelled: Number = 0
    without_lesion_id: Number = 0
    map: dict[Text, Text] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse a class that is none."""
        if not set(self.map.values()) <= set(CLASSES):
            raise ValueError(f"map has {sorted(set(self.map.values()))}, wanted some of {CLASSES}")


@dataclass(frozen=True)
class Certificate:
    """A promise, and all that it rests on.

    It holds for the graph, backend, precision, views and temperature of ``scored`` alone. It does
    not rely on the flags by which rows are reviewed: flagged images count by their score.
    ``engine_json_sha256`` names the engine as run records do.
    """

    promise: Promise
    found: Found
    images: CertifiedOn
    scored: Scored
    engine_json_sha256: Digest
    method: Word
    hambatch: Word
    date: Date

    def __post_init__(self) -> None:
        """Refuse a promise that the counts do not prove."""
        if self.scored.graph_sha256 is None:
            raise ValueError("scored.graph_sha256 is missing, wanted that of the graph")
        positive, promise = self.found.positive, self.promise
        chance = chance_of_so_few(positive.missed, positive.lesions, promise.sensitivity)
        if chance > (1 - promise.confidence) * (1 + ROUNDING):
            raise ValueError(
                f"{positive.missed} of {positive.lesions} lesions missed do not prove a "
                f"sensitivity of {promise.sensitivity} at a confidence of {promise.confidence}"
            )

    @property
    def precision(self) -> str:
        """The backend and precision, as a table names them."""
        return f"{self.scored.backend}-{self.scored.precision}"

    @property
    def scored_by(self) -> str:
        """The backend and precision, and the number of views where there are several."""
        views = f", {self.scored.views} views" if self.scored.views > 1 else ""
        return f"{self.precision}{views}"

    @property
    def key(self) -> tuple[str, str]:
        """What an engine has one certificate for."""
        return self.promise.target, self.scored_by

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def chance_of_so_few(missed: int, lesions: int, sensitivity: float) -> float:
    """Chance of at most ``missed`` of n lesions, if the true sensitivity were this one.

    In plain Python: reading an engine must not load scipy.
    """

    def term(k: int) -> float:
        ways = lgamma(lesions + 1) - lgamma(k + 1) - lgamma(lesions - k + 1)
        return exp(ways + k * log(1 - sensitivity) + (lesions - k) * log(sensitivity))

    return sum(term(k) for k in range(missed + 1))


def _refuse_more(name: str, part: int, of: str, whole: int) -> None:
    if part > whole:
        raise ValueError(f"{name} is {part}, wanted at most its {of}, {whole}")
