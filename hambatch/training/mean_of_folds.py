"""A final training as the mean of several: each leaves out one fold, their weights are averaged."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hambatch.system.files import write_json
from hambatch.training.dataset import Dataset
from hambatch.training.folds import cross_validate
from hambatch.training.options import TrainOptions
from hambatch.training.recipe import Fitted, Recipe

AVERAGED = "networks_averaged"
"""In the record of a training: how many."""

REPORT_NAME = "folds.json"
"""Figures of the networks, each on its own fold, as ``train --folds`` reports them."""


@dataclass
class MeanWeights:
    """The mean of the networks' weights so far."""

    count: int = 0
    sums: list[NDArray[np.float64]] = field(default_factory=list)
    last: Fitted | None = None

    def add(self, fitted: Fitted) -> None:
        """Add a network; all have the same layers."""
        weights = [np.asarray(values, np.float64) for values in fitted.network.get_weights()]
        pairs = zip(self.sums, weights, strict=True) if self.sums else ()
        self.sums = [total + values for total, values in pairs] or weights
        self.count, self.last = self.count + 1, fitted

    def fitted(self) -> Fitted:
        """Give the last network with the mean of all weights."""
        assert self.last is not None  # noqa: S101
        network: Any = self.last.network
        network.set_weights([(total / self.count).astype(np.float32) for total in self.sums])
        outcome = {**self.last.outcome, AVERAGED: self.count}
        return replace(self.last, outcome=outcome)


def fit_mean_of_folds(
    dataset: Dataset, recipe: Recipe, options: TrainOptions, work: Path
) -> Fitted:
    """Train a network on each fold's complement, without validation, and average their weights.

    Networks that start from the same weights stay near enough to each other for that: the mean is
    about as good as the mean of their scores [1]_, and costs one network in scoring. Together they
    have seen all of ``dataset``'s images. Interrupted, it resumes in the fold that was trained.

    ``work`` gets predictions by the networks that did not see the image, and their figures.

    References
    ----------
    .. [1] Wortsman et al., Model soups, ICML 2022, arXiv:2203.05482
    """
    mean = MeanWeights()
    report = cross_validate(dataset, recipe, options, work, mean.add)
    write_json(work / REPORT_NAME, report)
    return mean.fitted()
