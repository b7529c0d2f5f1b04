"""The options that a recipe uses: what its record and its checkpoints name."""

from dataclasses import asdict
from typing import Any

from hambatch.config import TrainOptions
from hambatch.training.finetuning.options import PUBLISHED_ONLY


def chosen_options(options: TrainOptions) -> dict[str, Any]:
    """Give the options as plain values, without those of the other recipe."""
    unused = {"finetune"} if options.recipe == "published" else PUBLISHED_ONLY
    return {name: value for name, value in asdict(options).items() if name not in unused}
