"""Which interval of a calibration error holds the true error, and the error that stands beside it?

Samples are drawn from models whose true calibration error is known: lesions of one to three images,
half of which are right or wrong together. Each sample gets an interval by each rule, from the
same draws of its lesions. A rule is right if 95 of 100 intervals hold the true error, and all
hold the sample's own. Differences are to the same predictions with another temperature::

    python benchmarks/calibration_intervals.py --out benchmarks/results/calibration_intervals.json
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray
from result import parser_of, publish

from hambatch.engines.probabilities import tempered
from hambatch.evaluation.calibration import gap_measure
from hambatch.evaluation.calibration_interval import calibration_interval, deviations
from hambatch.evaluation.sample import LEVEL, Figures, Sample, below, drawn, together

Floats = NDArray[np.float64]
Span = tuple[float, float]

TRUTHS: dict[str, Callable[[Floats], Floats]] = {
    "calibrated": lambda c: c,
    "0.02 too sure": lambda c: c - 0.02,
    "too sure above 0.6 only": lambda c: c - 0.05 * (c > 0.6),
    "0.04 too sure above 0.6, too unsure below": lambda c: c - np.where(c > 0.6, 0.04, -0.04),
    "0.05 too sure": lambda c: c - 0.05,
    "0.15 too sure": lambda c: c - 0.15,
}
"""Chance of being right, by confidence."""

SIZES = (50, 150, 500, 1000)
"""Lesions in a sample."""

IN_TRUTH = 300_000
"""Lesions of the sample that the true error is measured on."""

TEMPERATURE = 1.25
"""Of the predictions that differences are to."""

FIGURES = ("ece", "ece_equal_mass")

PERCENTILE, CHOSEN = "percentile (463d216)", "signs of clear gaps (chosen)"

OF_A_RULE = ("holds_true", "holds_own", "mean_width")

LOW, HIGH = (1 - LEVEL) / 2, (1 + LEVEL) / 2


def main() -> None:
    """Simulate, print and write."""
    parser = parser_of(__doc__)
    parser.add_argument("--samples", type=int, default=1000, help="of each truth and size")
    parser.add_argument("--resamples", type=int, default=1000)
    chosen = parser.parse_args()
    rows = [
        {"truth": name, "lesions": size, **one}
        for name in TRUTHS
        for size in SIZES
        for one in simulated(name, size, chosen.samples, chosen.resamples)
    ]
    result = {
        "question": "which interval of a calibration error holds the true error, and its own?",
        "level": LEVEL,
        "samples": chosen.samples,
        "resamples": chosen.resamples,
        "of_a_rule": OF_A_RULE,
        "summed_up": summed_up(rows),
        "found": by_figure(rows),
    }
    publish(chosen.out, result, summed_up(rows))


def simulated(name: str, size: int, samples: int, resamples: int) -> Iterator[dict[str, Any]]:
    """Count, for every figure and rule, how often the interval holds the true and its own error."""
    rng = np.random.default_rng([size, *name.encode()])
    truth = errors_of(both_gaps(*pair_of(np.random.default_rng(1), name, IN_TRUTH)))
    spans: dict[tuple[str, str], list[Span]] = {}
    own: dict[str, list[float]] = {}
    for _ in range(samples):
        lesions, first, second = pair_of(rng, name, size)
        measure = together(below("first", gap_measure(first)), below("second", gap_measure(second)))
        gaps, draws = (
            both_gaps(lesions, first, second),
            drawn(measure, lesions, resamples=resamples),
        )
        for figure, error in errors_of(gaps).items():
            own.setdefault(figure, []).append(error)
        for figure in FIGURES:
            parts = [(gaps[side, figure][0], draws[side, figure]) for side in ("first", "second")]
            for rule, span in by_every_rule(*parts[0], size).items():
                spans.setdefault((figure, rule), []).append(span)
            for rule, span in of_difference(parts, size).items():
                spans.setdefault((f"{figure}, difference", rule), []).append(span)
    for (figure, rule), of_rule in spans.items():
        yield {
            "figure": figure,
            "rule": rule,
            **shares(np.array(of_rule), np.array(own[figure]), truth[figure]),
        }


def shares(spans: Floats, own: Floats, wanted: float) -> dict[str, float]:
    """Sum up the intervals of one rule; what the size of IN_TRUTH leaves of an error is no miss."""
    low, high = spans.T
    found = {
        "true_error": wanted,
        "mean_error": own.mean(),
        "holds_true": ((low <= wanted + 1e-3) & (wanted <= high + 1e-3)).mean(),
        "holds_own": ((low <= own + 1e-9) & (own <= high + 1e-9)).mean(),
        "mean_width": (high - low).mean(),
    }
    return {name: round(float(value), 4) for name, value in found.items()}


def pair_of(
    rng: np.random.Generator, name: str, size: int
) -> tuple[NDArray[np.int64], Sample, Sample]:
    """Give lesions, a sample, and the same sample at another temperature."""
    sample, lesions = sample_of(rng, name, size)
    other = replace(sample, probabilities=tempered(sample.probabilities, TEMPERATURE))
    return lesions, sample, other


def both_gaps(lesions: NDArray[np.int64], first: Sample, second: Sample) -> Figures:
    """Measure the gaps of the bins of both themselves."""
    measure = together(below("first", gap_measure(first)), below("second", gap_measure(second)))
    return measure(np.ones((1, lesions.size)))


def errors_of(gaps: Figures) -> dict[str, float]:
    """Give the errors of the first and the differences to those of the second."""
    error = {place: float(np.abs(values).sum()) for place, values in gaps.items()}
    found = {figure: error["first", figure] for figure in FIGURES}
    return found | {
        f"{figure}, difference": error["first", figure] - error["second", figure]
        for figure in FIGURES
    }


def of_difference(parts: Sequence[tuple[Floats, Floats]], lesions: int) -> dict[str, Span]:
    """Give the interval of a difference by both rules."""
    (mine, my_draws), (theirs, their_draws) = parts
    error = float(np.abs(mine).sum() - np.abs(theirs).sum())
    errors = np.abs(my_draws).sum(axis=1) - np.abs(their_draws).sum(axis=1)
    low, high = np.quantile(errors, [LOW, HIGH]).tolist()
    found = deviations(mine, my_draws, lesions).minus(deviations(theirs, their_draws, lesions))
    return {
        PERCENTILE: (low, high),
        CHOSEN: calibration_interval(error, found, lowest=-1.0),
    }


def sample_of(rng: np.random.Generator, name: str, size: int) -> tuple[Sample, NDArray[np.int64]]:
    """Draw lesions of one to three images, with their predictions."""
    lesions = np.repeat(np.arange(size), rng.integers(1, 4, size))
    confidence = 1 / 7 + (6 / 7) * rng.beta(3, 1.5, lesions.size)
    shared = (rng.random(size) < 0.5)[lesions]
    luck = np.where(shared, rng.random(size)[lesions], rng.random(lesions.size))
    right = luck < TRUTHS[name](confidence)
    probabilities = np.repeat((1 - confidence)[:, None] / 6, 7, axis=1)
    probabilities[:, 5] = confidence
    predicted = np.full(lesions.size, 5)
    return Sample(np.where(right, 5, 4), predicted, probabilities), lesions


def by_every_rule(gaps: Floats, draws: Floats, lesions: int) -> dict[str, Span]:
    """Give the interval of each rule."""
    error, errors = float(np.abs(gaps).sum()), np.abs(draws).sum(axis=1)
    low, high = np.quantile(errors, [LOW, HIGH]).tolist()
    bias = float(errors.mean()) - error
    return {
        PERCENTILE: (low, high),
        "basic (reverse percentile)": (max(2 * error - high, 0.0), 2 * error - low),
        "percentile less the bias of the draws": (max(low - bias, 0.0), high - bias),
        "percentile less twice the bias": (max(low - 2 * bias, 0.0), high - 2 * bias),
        "bias-corrected (BC)": bias_corrected(error, errors),
        "all bins by absolute value": (
            max(error - shift(gaps, draws), 0.0),
            error + shift(gaps, draws),
        ),
        CHOSEN: calibration_interval(error, deviations(gaps, draws, lesions)),
    }


def shift(gaps: Floats, draws: Floats) -> float:
    """Bound how far an error can be from the true one: the sum of all bins' deviations."""
    return float(np.quantile(np.abs(draws - gaps).sum(axis=1), LEVEL))


def bias_corrected(error: float, errors: Floats) -> Span:
    """Efron's BC interval."""
    normal = NormalDist()
    share = float(np.clip((errors < error).mean(), 0.5 / errors.size, 1 - 0.5 / errors.size))
    at = [normal.cdf(2 * normal.inv_cdf(share) + normal.inv_cdf(tail)) for tail in (LOW, HIGH)]
    low, high = np.quantile(errors, at).tolist()
    return low, high


def by_figure(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Put the rules of one truth, size and figure together, each a list of ``OF_A_RULE``."""
    found: dict[tuple[str, int, str], dict[str, Any]] = {}
    for row in rows:
        about = {name: row[name] for name in ("truth", "lesions", "figure")}
        errors = {name: row[name] for name in ("true_error", "mean_error")}
        one = found.setdefault(tuple(about.values()), {**about, **errors})
        one[row["rule"]] = ", ".join(f"{row[name]:.4f}" for name in OF_A_RULE)
    return list(found.values())


def summed_up(found: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Sum up each rule: shares over all truths and sizes, and the mean width."""
    of: dict[str, list[dict[str, Any]]] = {}
    for one in found:
        kind = "difference, " if one["figure"].endswith("difference") else ""
        of.setdefault(kind + one["rule"], []).append(one)
    return {
        rule: {
            "holds_true_on_average": round(float(np.mean([one["holds_true"] for one in some])), 4),
            "holds_true_at_least": min(one["holds_true"] for one in some),
            "holds_own_at_least": min(one["holds_own"] for one in some),
            "mean_width": round(float(np.mean([one["mean_width"] for one in some])), 4),
        }
        for rule, some in of.items()
    }


if __name__ == "__main__":
    main()
