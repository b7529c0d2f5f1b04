"""Predictions meet the truth; who is left over on either side is counted."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hambatch.evaluation.predictions import P_COLUMNS
from hambatch.evaluation.text_table import NAMED
from hambatch.labels import CLASSES


@dataclass(frozen=True)
class Joined:
    """The n images that have a truth and an ``ok`` prediction, in truth order.

    Attributes
    ----------
    truth, predicted
        int64 ``[n]``: positions in ``CLASSES``.
    probabilities
        float64 ``[n, 7]``.
    groups
        ``[n]``, text: what is photographed. The lesion_id; the image_id where
        no lesion_id is known.
    grouped_by
        ``lesion`` if the truth has a lesion_id, else ``image``.
    counts
        Of the truth's images: ``truth`` in all, of which ``scored``, ``failed``
        and ``missing`` from the predictions, the first of these by name;
        ``predictions_without_truth``.
    """

    truth: NDArray[np.int64]
    predicted: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    groups: NDArray[Any]
    grouped_by: str
    counts: dict[str, Any]


def join(truth: pd.DataFrame, predictions: pd.DataFrame) -> Joined:
    """Join the tables of ``read_truth`` and ``read_predictions`` by image_id."""
    joined = truth.merge(predictions, on="image_id", how="left", validate="one_to_one")
    status = joined["status"].fillna("missing")
    scored = joined[status == "ok"]
    counts: dict[str, Any] = {"truth": len(truth), "scored": len(scored)}
    for other in ("failed", "missing"):
        names = joined["image_id"][status == other]
        counts |= {other: len(names), f"{other}_named": names.iloc[:NAMED].tolist()}
    matched = int((status != "missing").sum())
    counts["predictions_without_truth"] = len(predictions) - matched
    return Joined(
        truth=_positions(scored["dx"]),
        predicted=_positions(scored["prediction"]),
        probabilities=scored[list(P_COLUMNS)].to_numpy(np.float64),
        groups=_groups(scored).to_numpy(),
        grouped_by="lesion" if "lesion_id" in truth.columns else "image",
        counts=counts,
    )


def _positions(names: pd.Series) -> NDArray[np.int64]:
    index = {name: k for k, name in enumerate(CLASSES)}
    return np.array([index[name] for name in names], np.int64)


def _groups(scored: pd.DataFrame) -> pd.Series:
    if "lesion_id" not in scored.columns:
        return scored["image_id"]
    return scored["lesion_id"].mask(scored["lesion_id"] == "", scored["image_id"])
