"""What does the mean of the folds' weights gain? On held-out images, next to each network alone.

    hambatch train --data split.csv --final --folds 5 --out engines/NAME OPTIONS
    python benchmarks/mean_of_folds.py --work engines/NAME.work --data split.csv --part test \
        --final --folds 5 OPTIONS --out RESULT.json

OPTIONS are those of the training: its checkpoints are refused with any other. A fold that was
interrupted is trained to its end first. Measured are each fold's network, the mean of their
probabilities, which costs as many passes as there are networks, and the mean of their weights,
which costs one. Uncalibrated, in float32 by TensorFlow.
"""

import sys
from dataclasses import replace
from pathlib import Path

import click
import numpy as np
import pandas as pd
from left_out_source import compared
from numpy.typing import NDArray
from result import publish

from hambatch.cli.train import options_from, recipe_options
from hambatch.engines.probabilities import softmax
from hambatch.training.compute import set_up
from hambatch.training.dataset import (
    Dataset,
    read_dataset,
    with_extras,
    with_near_duplicates_joined,
)
from hambatch.training.finetuning.recipe import FineTuning
from hambatch.training.folds import fold_parts
from hambatch.training.mean_of_folds import MeanWeights
from hambatch.training.options import TrainOptions
from hambatch.training.progress import log_to


@click.command()
@click.option("--work", required=True, type=click.Path(path_type=Path, exists=True))
@click.option("--data", required=True, type=click.Path(path_type=Path, exists=True))
@click.option("--part", default="test", help="Of the split table.")
@click.option("--out", required=True, type=click.Path(path_type=Path))
@recipe_options
def main(work: Path, data: Path, part: str, out: Path, **values: object) -> None:
    """Score the part by every network of the work folder and by their means."""
    log_to(sys.stderr, quiet=False)
    options = set_up(options_from(values))
    dataset = with_extras(read_dataset(data), options.extras)
    rows = dataset.part(part)
    scored = probabilities_of(dataset, rows, data, work, options)
    found = {name: compared(rows, values) for name, values in scored.items()}
    shown = {
        name: {key: value for key, value in figures.items() if key != "intervals"}
        for name, figures in found.items()
    }
    options_shown = {**options.of_recipe(), "weights": Path(options.weights).name}
    publish(out, {"part": part, "found": found, "options": options_shown}, shown)


def probabilities_of(
    dataset: Dataset, rows: pd.DataFrame, data: Path, work: Path, options: TrainOptions
) -> dict[str, NDArray[np.float64]]:
    """Load the networks of all folds; give ``[n, 7]`` by each of them and by both means."""
    recipe = FineTuning(dataset, work, options)
    trained = dataset.part(*options.trained_parts)
    table = with_near_duplicates_joined(replace(dataset, table=trained), data).table
    mean, found = MeanWeights(), {}
    for fold in range(options.folds):
        folder = work / f"fold-{fold}"
        if not (folder / "steps.npz").exists():
            raise click.ClickException(f"{folder} has no checkpoint; train it first")
        train, val, _ = fold_parts(table, fold, options)
        fitted = recipe.fit(train, val, folder, fold=fold)
        mean.add(fitted)
        found[f"fold {fold + 1}"] = softmax(fitted.logits(list(rows["sha256"])))
    found["mean of probabilities"] = np.mean(list(found.values()), axis=0)
    found["mean of weights"] = softmax(mean.fitted().logits(list(rows["sha256"])))
    return found


if __name__ == "__main__":
    main()
