"""Fine-tuning: the base's upper stages are trained together with the head."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from hambatch.backends.keras_network import join
from hambatch.training.checkpoint import Checkpoint
from hambatch.training.dataset import Dataset
from hambatch.training.finetuning.data import tuning_data
from hambatch.training.finetuning.run import Progress, fine_tune
from hambatch.training.finetuning.tuner import FineTuner
from hambatch.training.options import TrainOptions
from hambatch.training.recipe import Fitted, fingerprint, load_base, sha256_of_weights
from hambatch.training.validation import best_of

LINE = ("step", "val_balanced_accuracy")
"""What the report of folds keeps of a validation."""


@dataclass(frozen=True)
class FineTuning:
    """Each training begins with a base of its own, which it changes in place; ``cache`` is unused.

    No feature is cached, as the base is not frozen.
    """

    dataset: Dataset
    cache: Path
    options: TrainOptions

    def fit(self, train: pd.DataFrame, val: pd.DataFrame, work: Path, **bound: Any) -> Fitted:
        """Train as :meth:`hambatch.training.recipe.Recipe.fit`; ``work`` holds ``steps.npz``."""
        options = self.options
        base = load_base(options.weights, options.finetune.side, options.stride_in)
        start = sha256_of_weights(base)
        data = tuning_data(self.dataset, train, val, options)
        about = fingerprint(self.dataset, train, val, start, options)
        checkpoint = Checkpoint(work / "steps.npz", about | bound, Progress)
        tuner = FineTuner(base, options)
        progress = fine_tune(tuner, data, options, checkpoint)
        best = best_of(progress.history).step if progress.history else None
        return Fitted(
            network=join(base, tuner.head),
            images=data.views.on_cpu,
            logits=lambda sha256: tuner.logits(data.plain(sha256)),
            weights_sha256=start,
            outcome={"steps_run": progress.step, "best_step": best},
            validations=[{name: getattr(line, name) for name in LINE} for line in progress.history],
        )
