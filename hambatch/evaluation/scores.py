"""Figures that follow from the order of the probabilities."""

import numpy as np
from numpy.typing import NDArray

from hambatch.evaluation.figures import Figures, Measure
from hambatch.evaluation.ranking import Ranking, average_precision, rank, roc_area
from hambatch.evaluation.sample import MELANOMA, Sample
from hambatch.labels import CLASSES


def class_rankings(sample: Sample) -> list[Ranking]:
    """Order the images by the probability of each class, against all others."""
    return [rank(sample.truth == k, sample.probabilities[:, k]) for k in range(len(CLASSES))]


def score_measure(sample: Sample) -> Measure:
    """ROC AUC and average precision: malignant, melanoma, and of every class."""
    malignant = rank(sample.malignant, sample.p_malignant)
    classes = class_rankings(sample)

    def measure(weights: NDArray[np.float64]) -> Figures:
        by_class = [_areas(ranking, weights) for ranking in classes]
        figures: Figures = {}
        for name, areas in (
            ("malignant", _areas(malignant, weights)),
            ("melanoma", by_class[MELANOMA]),
        ):
            figures |= {(f"{what}_{name}",): values for what, values in areas.items()}
        for name, areas in zip(CLASSES, by_class, strict=True):
            figures |= {("classes", name, what): values for what, values in areas.items()}
        return figures

    return measure


def _areas(ranking: Ranking, weights: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    counts = ranking.counts(weights)
    return {"roc_auc": roc_area(counts), "average_precision": average_precision(counts)}
