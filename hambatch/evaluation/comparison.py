"""Predictions against truth: joined by image, counted, measured."""

from pathlib import Path
from typing import Any

import numpy as np

from hambatch.errors import InputError
from hambatch.evaluation.bootstrap import intervals
from hambatch.evaluation.metrics import evaluate
from hambatch.evaluation.tables import PROBABILITY_COLUMNS, read_predictions, read_truth
from hambatch.labels import CLASSES

NAMED_AT_MOST = 5


def compare(predictions: Path, truth: Path, split: str | None = None) -> dict[str, Any]:
    """Join two tables by image and measure the images that were scored.

    Images of the truth without a scored prediction are counted and named, not
    guessed; predictions without a truth are counted.

    Raises
    ------
    InputError
        If a table cannot be used, or no image is in both.
    """
    table, labels = read_predictions(predictions), read_truth(truth, split)
    joined = labels.merge(table, on="image_id", how="left", validate="one_to_one")
    scored = joined[joined["status"] == "ok"]
    if scored.empty:
        raise InputError(
            f"no image of {truth} has a scored row in {predictions}: the first is "
            f"{labels['image_id'].iloc[0]!r} there and {table['image_id'].iloc[0]!r} here.\n"
            "Next: name the labels of the images that were scored"
        )
    index = {name: k for k, name in enumerate(CLASSES)}
    actual = np.array([index[name] for name in scored["dx"]], np.int64)
    predicted = np.array([index[name] for name in scored["prediction"]], np.int64)
    probabilities = scored[PROBABILITY_COLUMNS].to_numpy(np.float64)
    by = "lesion_id" if "lesion_id" in scored else "image_id"
    absent = joined[joined["status"].isna()]["image_id"].tolist()
    return {
        "predictions": predictions.name,
        "truth": truth.name,
        "split": split,
        "images": {
            "in_truth": len(labels),
            "scored": len(scored),
            "failed": int((joined["status"] == "failed").sum()),
            "without_prediction": len(absent),
            "without_prediction_named": absent[:NAMED_AT_MOST],
            "predicted_without_truth": int((~table["image_id"].isin(labels["image_id"])).sum()),
        },
        **evaluate(actual, predicted, probabilities),
        "interval_95": {"resampled": by, **intervals(actual, predicted, list(scored[by]))},
    }
