"""Which row of the predictions an image_id of the truth means."""

import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hambatch.errors import InputError
from hambatch.sinks.columns import PROBABILITIES
from hambatch.system.text import NAMED, canonical_id, decode_name, first_names

_SUFFIX = re.compile(
    r"\.(?:jpe?g|jpe|jfif|png|tiff?|bmp|gif|webp|jp2|j2k|heic|heif|avif|dcm)", re.IGNORECASE
)

_ARCHIVE = re.compile(r"(?:\.tar)?\.[A-Za-z0-9]+!$")


class Aligned(NamedTuple):
    """The ids of the truth, each as the predictions have it.

    ``by_case`` are those without a row of which a row's id differs only in case.
    """

    ids: pd.Series
    by_case: list[str]


def align(truth: pd.Series, predictions: pd.Series, images: pd.Series) -> Aligned:
    """Let an id with folders or the suffix of an image mean the image itself.

    An id that stands in both stays. Of the others, two meet that are the same without folders
    and suffix, if no other id is, and if the id's folders are those of the prediction's image, as
    far as both have some. Ids that differ in case never meet: they may be two images.
    """
    alone = truth[~among(truth, predictions)]
    if alone.empty:
        return Aligned(truth, [])
    free = predictions[~among(predictions, truth)].drop_duplicates()
    theirs = pd.Series(free.to_numpy(), index=free.map(bare_id)).groupby(level=0)
    single = theirs.first()[theirs.size() == 1]
    mine = alone.map(bare_id)
    found = mine[~mine.duplicated(keep=False)].map(single).dropna()
    path_of = dict(zip(found, alone[found.index], strict=True))
    rows = zip(predictions, images, strict=True)
    met = {one for one, image in rows if one in path_of and not _apart(path_of[one], image)}
    found = found[found.isin(met)]
    ids = truth.copy()
    ids[found.index] = found
    rest, cases = alone.drop(found.index), set(free.str.casefold())
    return Aligned(ids, rest[rest.str.casefold().isin(cases)].tolist())


def among(ids: pd.Series, others: pd.Series) -> NDArray[np.bool_]:
    """Tell which ids are among others: bool ``[n]``; several times as fast as pandas' ``isin``."""
    wanted = set(others.to_numpy(object))
    return np.fromiter((one in wanted for one in ids.to_numpy(object)), bool, len(ids))


def bare_id(image_id: str) -> str:
    r"""Give a canonical id without folders and the suffix of an image.

    >>> bare_id("part_1/ISIC_1.jpg"), bare_id("C:\\scans\\a.b.PNG"), bare_id("a.b")
    ('ISIC_1', 'a.b', 'a.b')
    >>> bare_id("a.zip!/sub/ISIC_1.jpg"), bare_id("ISIC_1.jpg#2")
    ('ISIC_1', 'ISIC_1')
    """
    name = re.split(r"[/\\]", decode_name(image_id))[-1]
    suffix = _SUFFIX.search(name, name.rfind(".")) if "." in name else None
    return canonical_id(name[: suffix.start()] if suffix and suffix.start() else name)


def _apart(one: str, other: str) -> bool:
    """Whether two paths have folders, and not the same ones: ``a/x`` and ``b/x``."""
    mine, theirs = _folders(one), _folders(other)
    return any(a != b for a, b in zip(mine, theirs, strict=False))


def _folders(path: str) -> list[str]:
    """Give the folders of a path, the innermost first; an archive is the folder it unpacks to."""
    parts = re.split(r"[/\\]", canonical_id(decode_name(path)))[-2::-1]
    return [_ARCHIVE.sub("", part) for part in parts]


def one_row_each(predictions: pd.DataFrame, path: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Keep one row for each image_id of the truth: a scored one, if there is one.

    Parameters
    ----------
    predictions
        Those of ``read_predictions`` whose image_id the truth names.
    path
        The file, for the message.

    Returns
    -------
    The rows, in their order; and, where there are such, how many failed rows were passed over
    (``failed_passed_over``) and how many copies, of the same bytes and scores (``copies``), with
    the first of them by image (``..._named``).

    Raises InputError if different images of one image_id were scored.
    """
    ids, scored = predictions["image_id"], predictions["status"] == "ok"
    several = ids.duplicated(keep=False)
    if not several.any():
        return predictions, {}
    with_scores = set(ids[several & scored])
    passed_over = several & ~scored & ids.isin(with_scores)
    ok = predictions[several & scored]
    same = ["image_id", "sha256", "prediction", *PROBABILITIES]
    copies = ok[ok.duplicated(same) & (ok["sha256"] != "")]
    rest = ok.drop(copies.index)
    _refuse_different(rest[rest["image_id"].duplicated(keep=False)], path)
    kept = predictions.drop(copies.index).drop(predictions.index[passed_over])
    counts: dict[str, Any] = {}
    passed = predictions["image"][passed_over]
    for name, images in (("failed_passed_over", passed), ("copies", copies["image"])):
        if len(images):
            counts |= {name: len(images), f"{name}_named": images.iloc[:NAMED].tolist()}
    return kept.drop_duplicates("image_id"), counts


def _refuse_different(rows: pd.DataFrame, path: Path) -> None:
    if rows.empty:
        return
    first = rows["image_id"].iloc[0]
    images = first_names(rows["image"][rows["image_id"] == first].tolist())
    raise InputError(
        f"{path}: found {rows['image_id'].nunique()} image_id of the truth with several scored "
        f"images of different bytes or scores: {first} is {images}; wanted one image for every "
        "image_id of the truth.\nNext: remove the rows of the images that the truth does not mean, "
        "or hambatch score FOLDER --out preds.csv, with the folder that holds the others"
    )
