"""How much does a split by image flatter, against a split of the same images by lesion?

HAM10000 holds several photographs of many lesions. A split by image puts some of them on both
sides, and the test part then asks for what was learnt by heart. The head of the published recipe
is trained on frozen features, of plain images (``views`` 0), once on each split: as many images of
every class are on every side of both, and each is measured on its own test part. hambatch offers
no split by image; this script makes it::

    python benchmarks/image_level_split.py --data split.csv --weights PATH --out result.json

Features that are not cached yet are computed first, which takes minutes.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from result import parser_of, publish

from hambatch.engines.classes import SPLITS
from hambatch.engines.probabilities import softmax
from hambatch.evaluation.measures import evaluate
from hambatch.ham10000.split import assign_splits
from hambatch.system.array_cache import default_cache
from hambatch.training.checkpoint import Checkpoint
from hambatch.training.compute import set_up
from hambatch.training.dataset import labels_of, read_dataset
from hambatch.training.folds import student_t
from hambatch.training.options import TrainOptions
from hambatch.training.published.data import training_data
from hambatch.training.published.features import Features
from hambatch.training.published.head import Epochs, HeadTrainer, fit
from hambatch.training.recipe import load_base
from hambatch.training.validation import best_of
from hambatch.training.views import plain_views

FIGURES = ("accuracy", "balanced_accuracy", "roc_auc_melanoma", "roc_auc_malignant")
HELD_OUT = {"val_fraction": 0.15, "test_fraction": 0.15}

Sides = NDArray[np.str_]


def main() -> None:
    """Train, measure, print and write."""
    parser = parser_of(__doc__)
    parser.add_argument("--data", type=Path, required=True, help="split table; its split is unused")
    parser.add_argument("--weights", required=True)
    parser.add_argument("--seeds", type=int, default=10)
    chosen = parser.parse_args()
    options = set_up(
        TrainOptions(recipe="published", weights=chosen.weights, views=0, device="cpu")
    )
    dataset = read_dataset(chosen.data)
    features = Features(load_base(options.weights), dataset.files, default_cache(), options)
    features.compute(plain_views(dataset.table["sha256"]))
    runs = [run(dataset.table, features, options, seed) for seed in range(chosen.seeds)]
    result = {
        "question": "how much does a split by image flatter?",
        "images": len(dataset.table),
        "lesions": int(dataset.table["group"].nunique()),
        "split_table_sha256": dataset.split_sha256,
        "weights_sha256": features.weights_sha256,
        "held_out": HELD_OUT,
        "options": asdict(options) | {"weights": Path(options.weights).name},
        "summary": summary(runs),
        "runs": runs,
    }
    publish(chosen.out, result, result["summary"])


def run(
    table: pd.DataFrame, features: Features, options: TrainOptions, seed: int
) -> dict[str, Any]:
    """Train on both splits of one seed."""
    groups, dx = list(table["group"]), list(table["dx"])
    by_lesion = assign_splits(groups, dx, **HELD_OUT, seed=seed)
    by_image = shuffled_within_classes(by_lesion, dx, seed)
    found = {
        "by_lesion": measured(table.assign(split=by_lesion), features, options),
        "by_image": measured(table.assign(split=by_image), features, options),
    }
    print(seed, found, flush=True)
    return {"seed": seed, **found}


def shuffled_within_classes(sides: Sides, dx: Sequence[str], seed: int) -> Sides:
    """Split by image: every class has as many images on each side as before, but any of them."""
    names, draw, found = np.array(dx), np.random.default_rng([seed, 1]), sides.copy()
    for name in np.unique(names):
        found[names == name] = draw.permutation(sides[names == name])
    return found


def measured(table: pd.DataFrame, features: Features, options: TrainOptions) -> dict[str, Any]:
    """Train the head on a split and measure it on the split's own test part."""
    train, val, test = (table[table["split"] == side] for side in SPLITS)
    with tempfile.TemporaryDirectory(prefix="hambatch-image-level-") as place:
        data = training_data(features, train, val, options)
        trainer = HeadTrainer(options)
        history = fit(trainer, data, options, Checkpoint(Path(place) / "log.npz", {}, Epochs))
    chances = softmax(trainer.logits(features.read(plain_views(test["sha256"]))))
    figures = evaluate(labels_of(test["dx"]), chances.argmax(axis=1), chances)
    return {
        **{name: figures[name] for name in FIGURES},
        "images": {side: int((table["split"] == side).sum()) for side in SPLITS},
        "test_images_of_lesions_trained_on": int(test["group"].isin(set(train["group"])).sum()),
        "best_epoch": best_of(history).epoch,
    }


def summary(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Means of both splits, and of what the split by image gains, with a t interval over seeds."""
    found = {}
    for name in FIGURES:
        lesion, image = (
            np.array([run[split][name] for run in runs]) for split in ("by_lesion", "by_image")
        )
        gains = image - lesion
        half = student_t(len(gains)) * gains.std(ddof=1) / len(gains) ** 0.5
        found[name] = {
            "by_lesion": float(lesion.mean()),
            "by_image": float(image.mean()),
            "flatters_by": float(gains.mean()),
            "t_interval_95": [float(gains.mean() - half), float(gains.mean() + half)],
        }
    return found


if __name__ == "__main__":
    main()
