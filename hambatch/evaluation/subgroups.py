"""The same figures in parts of the sample: by age, sex, place on the body, kind of proof."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hambatch.evaluation.intervals import spans_of
from hambatch.evaluation.join import Joined
from hambatch.evaluation.measures import label_measure
from hambatch.evaluation.ranking import rank, roc_area
from hambatch.evaluation.sample import MELANOMA, Figures, Measure, Sample, drawn, nested, once
from hambatch.evaluation.truth import PATIENT_COLUMNS

SMALL = 20
"""Fewer images than this are too few to conclude from, and are marked."""

AGE_BANDS = ("under 30", "30 to 44", "45 to 59", "60 to 74", "75 and over")

UNKNOWN = "unknown"

OTHER = "other"

MOST_GROUPS = 24
"""Values of a column that get a row of their own; a column of free text has no end of them."""

_BOUNDS = (30, 45, 60, 75)


def subgroups(joined: Joined) -> dict[str, list[dict[str, Any]]]:
    """Measure every part of the sample, by each column that the truth has.

    Returns
    -------
    Column to its groups: ``group``, ``images``, ``lesions``, ``melanomas``,
    ``malignant``, ``classes`` (how many occur), ``small`` (fewer than ``SMALL``
    images); ``balanced_accuracy`` over the classes that occur,
    ``melanoma_sensitivity`` and ``roc_auc_malignant``; ``intervals`` of these by
    a bootstrap of the lesions of the group, the first seed for each; ``no_interval``, why one
    of them has none.
    """
    found = {}
    for column in PATIENT_COLUMNS:
        if column in joined.images.columns:
            names, order = _groups(column, joined.images[column])
            found[column] = [_measured(joined, name, names == name) for name in order]
    return found


def age_band(age: str) -> str:
    """Name the band of an age in years; ``unknown`` if it is no age.

    >>> age_band("45.0"), age_band("")
    ('45 to 59', 'unknown')
    """
    years = pd.to_numeric(age, errors="coerce")
    if not 0 <= years <= 130:
        return UNKNOWN
    return AGE_BANDS[int(np.searchsorted(_BOUNDS, years, side="right"))]


def subgroup_measure(sample: Sample) -> Measure:
    """The three figures of a subgroup in every draw."""
    labels = label_measure(sample.truth, sample.predicted)
    malignant = rank(sample.malignant, sample.p_malignant)

    def measure(weights: NDArray[np.float64]) -> Figures:
        found = labels(weights)
        return {
            ("balanced_accuracy",): found["balanced_accuracy",],
            ("melanoma_sensitivity",): found["classes", "mel", "sensitivity"],
            ("roc_auc_malignant",): roc_area(malignant.counts(weights)),
        }

    return measure


def _groups(column: str, values: pd.Series) -> tuple[NDArray[Any], list[str]]:
    """Name the group of each image; list those that occur, the unknown ones last."""
    if column == "age":
        names = values.map(age_band)
        order = [*AGE_BANDS, UNKNOWN]
    else:
        names = values.mask(values == "", UNKNOWN)
        known = names[names != UNKNOWN].value_counts()
        names = names.where(names.isin([*known.index[:MOST_GROUPS], UNKNOWN]), OTHER)
        order = [*sorted(known.index[:MOST_GROUPS]), OTHER, UNKNOWN]
    occurring = set(names)
    return names.to_numpy(), [name for name in dict.fromkeys(order) if name in occurring]


def _measured(joined: Joined, name: str, chosen: NDArray[np.bool_]) -> dict[str, Any]:
    sample, lesions = joined.sample.at(chosen), joined.groups[chosen]
    measure = subgroup_measure(sample)
    figures = once(measure, sample.size)
    spans = spans_of(figures, drawn(measure, lesions))
    return {
        "group": name,
        "images": sample.size,
        "lesions": int(np.unique(lesions).size),
        "melanomas": int((sample.truth == MELANOMA).sum()),
        "malignant": int(sample.malignant.sum()),
        "classes": int(np.unique(sample.truth).size),
        "small": sample.size < SMALL,
        **nested(figures),
        "intervals": nested(spans.found),
        "no_interval": spans.missing,
    }
