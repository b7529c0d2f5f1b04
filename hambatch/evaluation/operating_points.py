"""Operating points: thresholds that reach a wanted sensitivity, and what else they do.

The rule is "refer if p >= threshold". A threshold that was chosen on the images that it is measured
on flatters itself: it is an estimate, and promises nothing about other images.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hambatch.engines.probabilities import DECIMALS
from hambatch.evaluation.intervals import Spans, spans_of
from hambatch.evaluation.join import Joined
from hambatch.evaluation.ranking import Counts, Ranking, rank
from hambatch.evaluation.sample import (
    Figures,
    Measure,
    Target,
    drawn,
    nested,
    once,
    ratio,
    targets,
)

WANTED = (0.80, 0.90, 0.95, 0.98)
"""Sensitivities that thresholds are looked for."""

FIGURES = ("sensitivity", "specificity", "ppv", "npv", "referred")


def rule_targets(joined: Joined) -> dict[str, Target]:
    """Give both targets with the scores that a rule on the columns of a table compares.

    ``malignant`` has the column ``p_malignant``, whose last decimal may differ from the sum of its
    three classes. Further decimals are cut off: that changes no comparison with a threshold of six.
    """
    found = targets(joined.sample)
    found["malignant"] = found["malignant"]._replace(scores=joined.p_malignant)
    return {name: Target(one.positive, cut(one.scores)) for name, one in found.items()}


def cut(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Round scores down to six decimals; float noise around one of these counts as that one."""
    steps = 10.0**DECIMALS
    return np.asarray(np.floor((scores * steps).round(6)) / steps)


def operating_points(
    found: Mapping[str, Target], groups: ArrayLike
) -> dict[str, list[dict[str, Any]]]:
    """Choose a threshold for each wanted sensitivity, and measure what it does.

    ``groups`` ``[n]`` names each image's lesion.

    Returns
    -------
    Target to one entry a sensitivity of ``WANTED``:
    ``wanted_sensitivity``; ``threshold``, the largest of six decimals that reaches it (None if no
    image is positive); at it ``sensitivity``, ``specificity``, ``ppv``, ``npv`` and the share
    ``referred``, None where one would divide by zero; ``intervals`` of these by a bootstrap of
    lesions in which the threshold stays, and ``no_interval``, why one of them has none.
    """
    return {name: _points_of(target, groups) for name, target in found.items()}


def _points_of(target: Target, groups: ArrayLike) -> list[dict[str, Any]]:
    if not target.positive.any():
        nothing = dict.fromkeys(FIGURES)
        point = {"threshold": None, **nothing, "intervals": nothing, "no_interval": {}}
        return [{"wanted_sensitivity": wanted, **point} for wanted in WANTED]
    ranking = rank(*target)
    places = places_reaching(ranking)
    measure = point_measure(ranking, places)
    figures = once(measure, target.positive.size)
    spans = _varying(spans_of(figures, drawn(measure, groups)))
    values, intervals = nested(figures), nested(spans.found)
    return [
        {
            "wanted_sensitivity": wanted,
            "threshold": float(ranking.thresholds[places[k] - 1]),
            **values[str(k)],
            "intervals": intervals[str(k)],
            "no_interval": {
                name: why
                for name in FIGURES
                if (why := spans.missing.get(f"{k}.{name}")) is not None
            },
        }
        for k, wanted in enumerate(WANTED)
    ]


def _varying(spans: Spans) -> Spans:
    """Leave out intervals without a width: of a share of 0 or 1, no draw differs."""
    for place, found in spans.found.items():
        if found is not None and found[0] == found[1]:
            spans.found[place] = None
            spans.missing[".".join(place)] = "it is the same in every draw"
    return spans


def places_reaching(ranking: Ranking) -> NDArray[np.int64]:
    """Find the first step of the counts that has each wanted sensitivity: int64 ``[4]``, from 1.

    There has to be a positive image.
    """
    true = ranking.counts(np.ones((1, ranking.order.size))).true[0]
    # 0.95 times 20 images may be a hair above 19.
    found: NDArray[np.int64] = np.searchsorted(true, np.array(WANTED) * true[-1] - 1e-9)
    return found


def point_measure(ranking: Ranking, places: NDArray[np.int64]) -> Measure:
    """The figures at fixed thresholds in every draw, below the number of the threshold."""

    def measure(weights: NDArray[np.float64]) -> Figures:
        found = rates(ranking.counts(weights), places)
        return {
            (str(k), name): values[:, k]
            for k in range(places.size)
            for name, values in found.items()
        }

    return measure


def rates(counts: Counts, places: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
    """Measure the rule at some of the steps: ``FIGURES``, each float64 ``[draws, places]``."""
    true, false = counts.true[:, places], counts.false[:, places]
    positives, negatives = counts.true[:, -1:], counts.false[:, -1:]
    rejected = negatives - false
    return {
        "sensitivity": ratio(true, positives),
        "specificity": ratio(rejected, negatives),
        "ppv": ratio(true, true + false),
        "npv": ratio(rejected, rejected + positives - true),
        "referred": ratio(true + false, positives + negatives),
    }
