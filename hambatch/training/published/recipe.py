"""The published recipe: a head is trained on the cached features of a frozen base."""

from pathlib import Path
from typing import Any

import pandas as pd

from hambatch.backends.keras_network import join
from hambatch.training.checkpoint import Checkpoint
from hambatch.training.dataset import Dataset
from hambatch.training.options import TrainOptions
from hambatch.training.published.data import training_data
from hambatch.training.published.features import Features
from hambatch.training.published.head import Epochs, HeadTrainer, fit
from hambatch.training.recipe import Fitted, fingerprint, load_base
from hambatch.training.validation import best_of
from hambatch.training.views import plain_views


class Published:
    """Opens the base and its caches once, for one training or for all folds.

    Parameters
    ----------
    cache
        Folder of cached features, shared by all runs.
    """

    def __init__(self, dataset: Dataset, cache: Path, options: TrainOptions) -> None:
        self._dataset, self._options = dataset, options
        base = load_base(options.weights, stride_in=options.stride_in)
        self._features = Features(base, dataset.files, cache, options)
        if options.folds:
            # All images are tested: one that cannot be read shows before the first fold.
            self._features.compute(plain_views(dataset.table["sha256"]))

    def fit(self, train: pd.DataFrame, val: pd.DataFrame, work: Path, **bound: Any) -> Fitted:
        """Train as :meth:`hambatch.training.recipe.Recipe.fit`; ``work`` holds ``log.npz``."""
        options, features = self._options, self._features
        data = training_data(features, train, val, options)
        about = fingerprint(self._dataset, train, val, features.weights_sha256, options)
        checkpoint = Checkpoint(work / "log.npz", about | bound, Epochs)
        trainer = HeadTrainer(options)
        history = fit(trainer, data, options, checkpoint)
        return Fitted(
            network=join(features.base, trainer.head),
            images=features.views.on_cpu,
            logits=lambda sha256: trainer.logits(features.read(plain_views(sha256))),
            weights_sha256=features.weights_sha256,
            outcome={"epochs_run": len(history), "best_epoch": best_of(history).epoch},
        )
