"""Predictions joined with the truth; what either side has alone is counted."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hambatch.engines.classes import CLASSES
from hambatch.errors import InputError
from hambatch.evaluation.ids import align, among, one_row_each
from hambatch.evaluation.sample import Sample
from hambatch.evaluation.tables import LESION, P_COLUMNS, P_MALIGNANT
from hambatch.evaluation.truth import Truth
from hambatch.system.text import NAMED


@dataclass(frozen=True)
class Joined:
    """The n images that have a truth and an ``ok`` prediction, in truth order.

    Attributes
    ----------
    truth, predicted
        int64 ``[n]``: positions in ``CLASSES``.
    probabilities
        float64 ``[n, 7]``.
    p_malignant
        float64 ``[n]``: the predictions' own column, as a rule with a threshold compares it.
    groups
        ``[n]``, text: what is photographed. The lesion_id; the image_id where
        no lesion_id is known.
    grouped_by
        ``lesion`` if the truth has a lesion_id, or else the predictions, else ``image``.
    images
        The n rows: the columns of the truth (``truth_id`` is its ``image_id`` as it stands
        there), of the predictions ``sha256``, ``path`` (their ``image``) and ``file_id`` (their
        ``image_id``, which several rows may have), and ``lesion_id`` where the truth has none.
    counts
        Of the truth's images: ``truth`` in all, of which ``scored``, ``failed``
        and ``missing`` from the predictions, the first of these by name;
        ``predictions_without_truth``. Where there are such: those of
        :func:`~hambatch.evaluation.ids.one_row_each`, and ``other_case``, the missing
        ones of which a prediction's id differs only in case.
    """

    truth: NDArray[np.int64]
    predicted: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    p_malignant: NDArray[np.float64]
    groups: NDArray[Any]
    grouped_by: str
    images: pd.DataFrame
    counts: dict[str, Any]

    @property
    def sample(self) -> Sample:
        """What the figures are computed from; n must not be 0."""
        return Sample(self.truth, self.predicted, self.probabilities)

    def at(self, kept: NDArray[np.bool_]) -> "Joined":
        """Keep some of the images; ``counts`` stay those of all."""
        return replace(
            self,
            truth=self.truth[kept],
            predicted=self.predicted[kept],
            probabilities=self.probabilities[kept],
            p_malignant=self.p_malignant[kept],
            groups=self.groups[kept],
            images=self.images[kept].reset_index(drop=True),
        )


def join(
    truth: pd.DataFrame, predictions: pd.DataFrame, path: Path, other_ids: pd.Series | None = None
) -> Joined:
    """Join the truth with the predictions of ``path``, of ``read_predictions``, by image_id.

    Parameters
    ----------
    truth
        ``image_id`` and ``dx`` at least, one row an image.
    other_ids
        Ids of images that are not evaluated: one that means a prediction's image as well keeps
        an id of the truth from taking it.

    Raises InputError if different images of one image_id of the truth were scored.
    """
    everyone = pd.concat([truth["image_id"], other_ids], ignore_index=True)
    aligned = align(everyone, predictions["image_id"], predictions["image"])
    ids = aligned.ids.iloc[: len(truth)].set_axis(truth.index)
    by_case = aligned.by_case[aligned.by_case.index < len(truth)].tolist()
    truth = truth.assign(truth_id=truth["image_id"], image_id=ids)
    predictions = predictions.assign(file_id=predictions["image_id"], image_id=aligned.rows)
    named = among(predictions["image_id"], ids)
    rows, repeats = one_row_each(predictions[named], path)
    rows = rows.rename(columns={"image": "path"})
    # What a manifest said of the lesions counts where the truth says nothing.
    if LESION in truth.columns:
        rows = rows.drop(columns=LESION, errors="ignore")
    joined = truth.merge(rows, on="image_id", how="left", validate="one_to_one")
    status = joined["status"].fillna("missing")
    scored = joined[status == "ok"]
    counts = _counts(joined["image_id"], status)
    counts["predictions_without_truth"] = int(named.size - named.sum())
    counts |= repeats
    if by_case:
        counts |= {"other_case": len(by_case), "other_case_named": by_case[:NAMED]}
    groups, by_lesion = scored["image_id"], LESION in scored.columns
    if by_lesion:
        groups = scored[LESION].mask(scored[LESION] == "", groups)
    columns = dict.fromkeys([*truth.columns, *([LESION] if by_lesion else [])])
    return Joined(
        truth=_positions(scored["dx"]),
        predicted=_positions(scored["prediction"]),
        probabilities=scored[list(P_COLUMNS)].to_numpy(np.float64),
        p_malignant=scored[P_MALIGNANT].to_numpy(np.float64),
        groups=groups.to_numpy(),
        grouped_by="lesion" if by_lesion else "image",
        images=scored[[*columns, "sha256", "path", "file_id"]].reset_index(drop=True),
        counts=counts,
    )


def _counts(ids: pd.Series, status: pd.Series) -> dict[str, Any]:
    """Count the images of the truth, and name the first of those without a score."""
    counts: dict[str, Any] = {"truth": len(ids), "scored": int((status == "ok").sum())}
    for other in ("failed", "missing"):
        names = ids[status == other]
        counts |= {other: len(names), f"{other}_named": names.iloc[:NAMED].tolist()}
    return counts


def _positions(names: pd.Series) -> NDArray[np.int64]:
    return np.array([CLASSES.index(name) for name in names], np.int64)


def join_scored(truth: Truth, predictions: pd.DataFrame, path: Path) -> Joined:
    """Join; raises InputError, with the files' paths, if no image of the truth was scored."""
    joined = join(truth.rows, predictions, path, truth.other_ids)
    counts = joined.counts
    if not counts["scored"]:
        names = [*counts["failed_named"], *counts["missing_named"]]
        case = f"; {counts['other_case']} ids differ only in case" if "other_case" in counts else ""
        raise InputError(
            f"{path}: found no ok prediction for any of the {counts['truth']} images of "
            f"{truth.path} ({counts['failed']} failed, {counts['missing']} without a row, "
            f"such as {names[0]!r}{case}), but images such as "
            f"{predictions['image'].iloc[0]!r}; wanted images named image_id.jpg or the like.\n"
            "Next: hambatch score IMAGES --out preds.csv, with the images of that truth"
        )
    return joined
