"""How often does a certified threshold have a lower sensitivity than it promises?

Labelled lesions are drawn from populations whose sensitivity at every threshold is known exactly. A
threshold is chosen on each draw as `hambatch certify` chooses it, and its true sensitivity is taken
from the population. A rule passes if its promise fails in no more draws than 1 - confidence allows,
by a one-sided binomial test at 1 %. Each threshold is also compared with the largest that an exact
computation in fractions allows. Two rules that void the promise run on the same draws::

    python benchmarks/certificate_coverage.py --out benchmarks/results/certificate_coverage.json
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from math import comb
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray
from result import parser_of, publish
from scipy.stats import beta, binomtest

from hambatch.engines.referral import UNIT
from hambatch.triage.lesions import Lesions
from hambatch.triage.threshold import GRID, STEP, certified_threshold

Ints = NDArray[np.int64]
Rule = Callable[[Lesions, str, str], int | None]

LEVEL = 0.01
"""Of the test: a rule that keeps its promise passes in 99 of 100 populations at least."""


@dataclass(frozen=True)
class Spread:
    """Scores of a beta distribution, rounded to millionths."""

    a: float
    b: float

    def draw(self, rng: np.random.Generator, size: int) -> Ints:
        """Draw scores in millionths."""
        return np.rint(rng.beta(self.a, self.b, size) * UNIT).astype(np.int64)

    def at_least(self, threshold: int) -> float:
        """Give the chance of a score at the threshold or above it."""
        return float(beta.sf((threshold - 0.5) / UNIT, self.a, self.b))


@dataclass(frozen=True)
class Values:
    """A few scores, in millionths, each with its chance."""

    chances: dict[int, float]

    def draw(self, rng: np.random.Generator, size: int) -> Ints:
        """Draw scores in millionths."""
        return rng.choice([*self.chances], size, p=[*self.chances.values()]).astype(np.int64)

    def at_least(self, threshold: int) -> float:
        """Give the chance of a score at the threshold or above it."""
        return sum(chance for score, chance in self.chances.items() if score >= threshold)


@dataclass(frozen=True)
class Population:
    """Lesions of one to four images, a ``prevalence`` of which are of the target.

    All images of a lesion have one score with the chance ``alike``, else a score each.
    ``images``: chances of 1, 2, ... images. Sensitivity and confidence are decimals, as text.
    """

    scores: Spread | Values
    lesions: int
    prevalence: float = 1.0
    images: tuple[float, ...] = (0.6, 0.25, 0.1, 0.05)
    alike: float = 0.5
    sensitivity: str = "0.95"
    confidence: str = "0.95"
    others: Spread = field(default=Spread(0.6, 8.0))

    def draw(self, rng: np.random.Generator) -> Lesions:
        """Draw labelled images."""
        positive = rng.random(self.lesions) < self.prevalence
        sizes = rng.choice(len(self.images), self.lesions, p=self.images) + 1
        codes = np.repeat(np.arange(self.lesions), sizes)
        of_target = positive[codes]
        scores = np.where(
            of_target, self.scores.draw(rng, codes.size), self.others.draw(rng, codes.size)
        )
        first = np.cumsum(sizes) - sizes
        alike = rng.random(self.lesions) < self.alike
        return Lesions(codes, np.where(alike[codes], scores[first[codes]], scores), positive)

    def true_sensitivity(self, threshold: int) -> float:
        """Give the chance that all images of a lesion of the target are at the threshold."""
        one = self.scores.at_least(threshold)
        return sum(
            share * (self.alike * one + (1 - self.alike) * one**count)
            for count, share in enumerate(self.images, 1)
        )


SINGLE = (1.0,)

POPULATIONS = {
    "scores of all sizes, 300 lesions": Population(Spread(3, 2), 300),
    "crowded near 0, 5 % of 4,000 lesions": Population(Spread(0.7, 2), 4000, 0.05),
    "half of 400 lesions": Population(Spread(2, 2), 400, 0.5),
    "images of a lesion unlike each other": Population(Spread(3, 2), 300, alike=0.0),
    "62 lesions, hardly enough": Population(Spread(3, 2), 62),
    "around 59 lesions, often too few": Population(Spread(3, 2), 590, 0.1),
    "five scores, all at steps of the grid": Population(
        Values({20_000: 0.02, 50_000: 0.02, 90_000: 0.03, 300_000: 0.33, 800_000: 0.6}), 500
    ),
    "five scores between the steps": Population(
        Values({20_001: 0.02, 50_050: 0.02, 90_099: 0.03, 300_001: 0.33, 800_000: 0.6}), 500
    ),
    "sensitivity a hair too low above one score, 124 lesions": Population(
        Values({10_000: 0.0501, 900_000: 0.9499}), 124, images=SINGLE
    ),
    "the same, 1,000 lesions": Population(
        Values({10_000: 0.0501, 900_000: 0.9499}), 1000, images=SINGLE
    ),
    "one in ten scores 0": Population(Values({0: 0.1, 700_000: 0.9}), 200, images=SINGLE),
    "0.9 at 0.99": Population(Spread(3, 2), 300, sensitivity="0.9", confidence="0.99"),
    "0.98 at 0.9, 10 % of 5,000 lesions": Population(
        Spread(2, 3), 5000, 0.1, sensitivity="0.98", confidence="0.9"
    ),
}


def certified(lesions: Lesions, sensitivity: str, confidence: str) -> int | None:
    """Choose as `hambatch certify` does."""
    scores = lesions.lowest[lesions.positive]
    if not scores.size:
        return None
    return certified_threshold(scores, float(sensitivity), float(confidence))


def by_images(lesions: Lesions, sensitivity: str, confidence: str) -> int | None:
    """Test as `hambatch certify` does, but count images as if each were a lesion."""
    scores = lesions.scores[lesions.positive[lesions.codes]]
    if not scores.size:
        return None
    return certified_threshold(scores, float(sensitivity), float(confidence))


def by_eye(lesions: Lesions, sensitivity: str, confidence: str) -> int | None:
    """Take the largest threshold with this sensitivity among the drawn lesions."""
    scores = np.sort(lesions.lowest[lesions.positive])
    if not scores.size:
        return None
    allowed = int(scores.size * (1 - Fraction(sensitivity)))
    return on_grid(int(scores[min(allowed, scores.size - 1)]))


CERTIFIED = "certified (chosen)"

RULES: dict[str, Rule] = {
    CERTIFIED: certified,
    "the same over images": by_images,
    "largest with the sensitivity in the sample": by_eye,
}


def on_grid(score: int) -> int:
    """Give the largest threshold of the grid that does not miss a score."""
    return min(score // STEP * STEP, int(GRID[-1]))


@cache
def exactly_allowed(lesions: int, sensitivity: str, confidence: str) -> int:
    """Count the misses that prove a sensitivity, in fractions; -1: there are too few lesions."""
    caught, level = Fraction(sensitivity), 1 - Fraction(confidence)
    total, missed = Fraction(0), -1
    while missed < lesions:
        k = missed + 1
        total += comb(lesions, k) * (1 - caught) ** k * caught ** (lesions - k)
        if total > level:
            break
        missed = k
    return missed


def exact_threshold(lesions: Lesions, sensitivity: str, confidence: str) -> int | None:
    """Give the largest threshold of any number of decimals, capped at that of the grid."""
    scores = np.sort(lesions.lowest[lesions.positive])
    allowed = exactly_allowed(scores.size, sensitivity, confidence)
    return None if allowed < 0 else min(int(scores[allowed]), int(GRID[-1]))


def off_by(found: int | None, exact: int | None) -> float:
    """Give how many steps a threshold lies from the exact one; infinite if only one is there."""
    if found is None or exact is None:
        return 0.0 if found is exact else float("inf")
    return abs(exact - found) / STEP


def simulated(name: str, draws: int, seed: int = 0) -> Iterator[dict[str, Any]]:
    """Count, for each rule, how often the promise fails in a population."""
    population = POPULATIONS[name]
    promise = population.sensitivity, population.confidence
    rng = np.random.default_rng([seed, *name.encode()])
    true = cache(population.true_sensitivity)
    found: dict[str, list[int | None]] = {rule: [] for rule in RULES}
    steps = []
    for _ in range(draws):
        lesions = population.draw(rng)
        for rule, choose in RULES.items():
            found[rule].append(choose(lesions, *promise))
        steps.append(off_by(found[CERTIFIED][-1], exact_threshold(lesions, *promise)))
    for rule, thresholds in found.items():
        kept = [one for one in thresholds if one is not None]
        failed = sum(true(one) < float(Fraction(promise[0])) for one in kept)
        test = binomtest(failed, draws, float(1 - Fraction(promise[1])), alternative="greater")
        yield {
            "population": name,
            "rule": rule,
            "sensitivity": promise[0],
            "confidence": promise[1],
            "draws": draws,
            "failed": failed,
            "p_value": round(float(test.pvalue), 6),
            "passed": bool(test.pvalue >= LEVEL),
            "too_few": draws - len(kept),
            "only_0": sum(one == 0 for one in kept),
            "mean_threshold": round(float(np.mean(kept)) / UNIT, 6) if kept else None,
            "mean_true_sensitivity": round(float(np.mean([*map(true, kept)])), 6) if kept else None,
            "most_steps_from_exact": max(steps) if rule == CERTIFIED else None,
        }


def main() -> None:
    """Simulate, print and write."""
    parser = parser_of(__doc__)
    parser.add_argument("--draws", type=int, default=2000, help="of each population")
    chosen = parser.parse_args()
    rows = [row for name in POPULATIONS for row in simulated(name, chosen.draws)]
    result = {
        "question": "how often has a certified threshold a lower sensitivity than promised?",
        "draws": chosen.draws,
        "level_of_the_test": LEVEL,
        "step": STEP / UNIT,
        "versions": {"scipy": scipy.__version__},
        "summed_up": summed_up(rows),
        "found": rows,
    }
    publish(chosen.out, result, result["summed_up"])


def summed_up(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Sum up each rule over all populations."""
    return {
        rule: {
            "populations": len(of := [row for row in rows if row["rule"] == rule]),
            "passed": sum(row["passed"] for row in of),
            "most_failed_share": max(row["failed"] / row["draws"] for row in of),
            "most_steps_from_exact": max((row["most_steps_from_exact"] or 0.0) for row in of),
        }
        for rule in RULES
    }


if __name__ == "__main__":
    main()
