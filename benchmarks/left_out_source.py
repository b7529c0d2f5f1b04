"""Train a recipe without one source of images, and measure it on that source: outside, and inside.

    python benchmarks/left_out_source.py --data split.csv --outside isic2017.csv --out RESULT.json \
        --extra 'isic/metadata.csv#BCN20000 (ISIC 2019)=0.25@84' --extra-licence ... --steps 600

Trained on: the part `train` of the split table, and other sources as in `hambatch train`. Inside:
the split table's part `val`. Outside: the parts `train` and `val` of the other table
(benchmarks/other_source.py, or `hambatch prepare`); no image of another source that looks like one
of any of its rows is trained on. No other part of either table is measured.

    hambatch evaluate RESULT.json.work/outside.csv --truth isic2017.csv --split train --engine none

gives all figures of the probabilities.

Figures are of the best averages by validation, uncalibrated, in float32 by TensorFlow; degraded
copies (benchmarks/degraded.py) are of the images inside. Interrupted, the same command resumes.
"""

import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd
from degraded import DEGRADED, degraded
from numpy.typing import NDArray
from result import publish

from hambatch.cli.train import options_from, recipe_options
from hambatch.engines.classes import CLASSES
from hambatch.engines.probabilities import softmax
from hambatch.engines.training_images import LISTED
from hambatch.evaluation.bootstrap import bootstrap_intervals
from hambatch.evaluation.measures import evaluate
from hambatch.ham10000.perceptual_hash import near_pairs, signatures_of, thumbnails
from hambatch.ham10000.table import dataset_root, files_of, read_split
from hambatch.training.checkpoint import Checkpoint
from hambatch.training.compute import set_up
from hambatch.training.dataset import Dataset, labels_of, read_dataset
from hambatch.training.extras import LEAST_CORRELATION, MOST_BITS, read_extras
from hambatch.training.finetuning.data import tuning_data
from hambatch.training.finetuning.run import Progress, fine_tune
from hambatch.training.finetuning.tuner import FineTuner
from hambatch.training.options import TrainOptions
from hambatch.training.progress import log_to
from hambatch.training.recipe import fingerprint, load_base, sha256_of_weights
from hambatch.training.train import refuse_combinations
from hambatch.training.views import Views, plain_views

PLACES = ("inside", "outside")

POWERS = (0.25, 0.5, 1.0)

HAM10000_IMAGES = np.array([327, 514, 1099, 115, 1113, 6705, 142])
"""Of each class in the whole data set: Tschandl et al. (2018)."""

FIGURES = ("accuracy", "balanced_accuracy", "roc_auc_melanoma", "roc_auc_malignant")


@click.command()
@click.option("--data", required=True, type=click.Path(path_type=Path, exists=True))
@click.option("--outside", required=True, type=click.Path(path_type=Path, exists=True))
@click.option("--out", required=True, type=click.Path(path_type=Path))
@click.option("--copies", is_flag=True, help="Measure degraded copies of the images inside, too.")
@recipe_options
def main(data: Path, outside: Path, out: Path, copies: bool, **values: object) -> None:
    """Write the result; its folder `OUT.work` has the checkpoint and the probabilities."""
    log_to(sys.stderr, quiet=False)
    options = set_up(options_from(values))
    refuse_combinations(options)
    dataset = read_dataset(data)
    held_out = outside_rows(outside, dataset)
    # Against all rows of both tables, the test parts too.
    every = pd.concat([dataset.every, held_out], ignore_index=True)
    extras = read_extras(options.finetune.extras, every, dataset.root)
    dataset = replace(dataset, extras=extras)
    work = out.with_name(out.name + ".work")
    tuner, progress = trained(dataset, options, work)
    measured = held_out[held_out["split"].isin(LISTED)]
    val = dataset.part("val")
    found = {
        "inside": figures(tuner, options, val, files_of(val, dataset.root), work / "inside.csv"),
        "outside": figures(
            tuner, options, measured, files_of(measured, Path()), work / "outside.csv"
        ),
    }
    if copies:
        found["degraded"] = degraded_figures(tuner, options, val, files_of(val, dataset.root))
    sizes = {
        "split table": len(dataset.part("train")),
        **{source.about.name: len(source.images) for source in extras},
    }
    result = {
        **found,
        "curve": [asdict(line) for line in progress.history],
        "trained_on": sizes,
        "options": {**options.of_recipe(), "weights": Path(options.weights).name},
    }
    shown = {place: {name: found[place][name] for name in FIGURES} for place in PLACES}
    publish(out, result, shown)


def outside_rows(table: Path, dataset: Dataset) -> pd.DataFrame:
    """Read the table; rows that look like an image of the split table count as its test part.

    So do the other rows of their lesions.
    """
    rows = read_split(table)
    root = dataset_root(table)
    rows = rows.assign(file=[str(root / file) for file in rows["file"]])
    ours, theirs = (
        thumbnails(files)
        for files in (files_of(rows, Path()), files_of(dataset.every, dataset.root))
    )
    one, other = (signatures_of(np.stack(list(part.values()))) for part in (ours, theirs))
    pairs = near_pairs(one, other, LEAST_CORRELATION, MOST_BITS)
    met = {list(ours)[low] for low, _ in pairs.tolist()}
    lesions = set(rows["lesion_id"][rows["sha256"].isin(met)]) - {""}
    apart = rows["sha256"].isin(met) | rows["lesion_id"].isin(lesions)
    return rows.assign(split=rows["split"].mask(apart, "test"))


def trained(dataset: Dataset, options: TrainOptions, work: Path) -> tuple[FineTuner, Progress]:
    """Train, or resume; the tuner has the best averages."""
    base = load_base(options.weights, options.finetune.side, options.stride_in)
    start = sha256_of_weights(base)
    train, val = dataset.part("train"), dataset.part("val")
    data = tuning_data(dataset, train, val, options)
    about = fingerprint(dataset, train, val, start, options)
    tuner = FineTuner(base, options)
    progress = fine_tune(tuner, data, options, Checkpoint(work / "steps.npz", about, Progress))
    return tuner, progress


def figures(
    tuner: FineTuner, options: TrainOptions, rows: pd.DataFrame, files: Any, table: Path
) -> dict[str, Any]:
    """Score plain images and compare with the truth; the probabilities go into a table."""
    views = Views(files, options, options.finetune.side, options.batch_size)
    logits = tuner.logits(views.batches(plain_views(rows["sha256"])))
    probabilities = softmax(logits)
    shown = rows[["image_id", "lesion_id", "dx"]].reset_index(drop=True)
    shown["image"] = [Path(file).name for file in rows["file"]]
    shown["status"], shown["prediction"] = "ok", np.array(CLASSES)[probabilities.argmax(axis=1)]
    shown[[f"p_{name}" for name in CLASSES]] = probabilities.round(6)
    shown.to_csv(table, index=False, lineterminator="\n")
    return compared(rows, probabilities) | {"with_priors": with_priors(rows, probabilities)}


def with_priors(rows: pd.DataFrame, probabilities: NDArray[np.float64]) -> dict[str, Any]:
    """Give figures as if the network leant more towards frequent classes: those of HAM10000.

    By the power of the classes' shares that probabilities are multiplied by. A training with a
    lower --logit-adjustment does about the same.
    """
    truth, found = labels_of(rows["dx"]), {}
    for power in POWERS:
        weighted = probabilities * HAM10000_IMAGES**power
        weighted /= weighted.sum(axis=1, keepdims=True)
        measured = evaluate(truth, weighted.argmax(axis=1), weighted)
        found[str(power)] = {name: measured[name] for name in FIGURES}
    return found


def compared(rows: pd.DataFrame, probabilities: NDArray[np.float64]) -> dict[str, Any]:
    """Give figures with 95 % intervals over lesions."""
    truth, predicted = labels_of(rows["dx"]), probabilities.argmax(axis=1)
    found = evaluate(truth, predicted, probabilities)
    spans = bootstrap_intervals(
        truth, predicted, list(rows["lesion_id"]), probabilities=probabilities
    )
    return {
        "images": len(rows),
        **{name: found[name] for name in FIGURES},
        "intervals": {name: spans[name] for name in FIGURES},
    }


def degraded_figures(
    tuner: FineTuner, options: TrainOptions, rows: pd.DataFrame, files: Any
) -> dict[str, Any]:
    """Score degraded copies of plain images, made at the network's side."""
    views = Views(files, options, options.finetune.side, options.batch_size)
    truth = labels_of(rows["dx"])
    found = {}
    for kind in DEGRADED:
        batches = views.batches(plain_views(rows["sha256"]))
        copies = (np.stack([degraded(kind, image) for image in batch]) for batch in batches)
        probabilities = softmax(tuner.logits(copies))
        measured = evaluate(truth, probabilities.argmax(axis=1), probabilities)
        found[kind] = {name: measured[name] for name in FIGURES}
    return found


if __name__ == "__main__":
    main()
