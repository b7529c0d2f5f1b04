"""Which row of the predictions an image_id of the truth means."""

import re
from collections import defaultdict
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hambatch.errors import InputError
from hambatch.sinks.columns import PROBABILITIES
from hambatch.system.text import (
    FRAME,
    NAMED,
    canonical_id,
    decode_name,
    encode_name,
    first_names,
)

_SUFFIX = re.compile(
    r"\.(?:jpe?g|jpe|jfif|png|tiff?|bmp|gif|webp|jp2|j2k|heic|heif|avif|dcm)", re.IGNORECASE
)

_ARCHIVE = re.compile(r"(?:\.tar)?\.[A-Za-z0-9]+!$")

_FILE_OF_FRAME = re.compile(r"!/(frame-[0-9]{4,}(?:#[0-9]+)?)$")


_COPY = re.compile(r"#[0-9]+$")


class Aligned(NamedTuple):
    """The ids of the truth and of the predictions, so that equal ids mean the same image.

    ``by_case`` are those of the truth without a row of which a row's id differs only in case;
    ``ids`` and ``by_case`` have the index of the truth, ``rows`` that of the predictions.
    """

    ids: pd.Series
    by_case: pd.Series
    rows: pd.Series


def align(truth: pd.Series, predictions: pd.Series, images: pd.Series) -> Aligned:
    """Let an id with folders or the suffix of an image mean the image itself.

    An id that stands in both stays. Of the others, two meet that are the same without folders
    and suffix, if the id's folders are those of the prediction's image, as far as both have some.
    Where several ids or several images are the same without folders, an image gets the id of the
    truth that its path means. Ids that differ in case never meet: they may be two images.
    """
    alone = truth[~among(truth, predictions)]
    if alone.empty:
        return Aligned(truth, alone, predictions)
    free = predictions[~among(predictions, truth)]
    mine, theirs = (ids.map({one: bare_id(one) for one in ids.unique()}) for ids in (alone, free))
    told = _toldapart(alone, images[free.index], mine, theirs)
    rows = predictions.mask(images.isin(told), images.map(told))
    plain = mine[~mine.duplicated(keep=False)]
    single = ~theirs.duplicated(keep=False)
    found = plain.map(dict(zip(theirs[single], free[single], strict=True))).dropna()
    path_of = dict(zip(found, alone[found.index], strict=True))
    both = zip(predictions, images, strict=True)
    met = {one for one, image in both if one in path_of and not apart(path_of[one], image)}
    found = found[found.isin(met)]
    ids = truth.copy()
    ids[found.index] = found
    rest = alone.drop(found.index)
    rest = rest[~rest.isin(set(told.values()))]
    cases = set(free.str.casefold())
    return Aligned(ids, rest[rest.str.casefold().isin(cases)], rows)


def _toldapart(
    alone: pd.Series, images: pd.Series, mine: pd.Series, theirs: pd.Series
) -> dict[str, str]:
    """Give images their ids of the truth, where several ids or images share a bare id.

    ``mine`` are the bare ids of ``alone``, ``theirs`` those of ``images``.
    """
    shared = set(mine[mine.duplicated()]) | set(theirs[theirs.duplicated()])
    shared &= set(mine) & set(theirs)
    if not shared:
        return {}
    ids, paths = (
        each[bare.isin(shared)].groupby(bare) for each, bare in ((alone, mine), (images, theirs))
    )
    listed = {name: list(group) for name, group in paths}
    return {
        image: one
        for name, group in ids
        for image, one in _meant_by_path(list(group), listed[name]).items()
    }


def _meant_by_path(ids: Sequence[str], images: Sequence[str]) -> dict[str, str]:
    """Give each image the one id of the truth whose path is its own, or else may be its own.

    An image that several ids may mean gets none. An id that several images get is ambiguous:
    :func:`one_row_each` refuses it.
    """
    same: dict[tuple[str, ...], list[str]] = defaultdict(list)
    whole: dict[tuple[str, ...], list[str]] = defaultdict(list)
    longer: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for image in dict.fromkeys(images):
        folders = tuple(_folders(image))
        same[_parts(_COPY.sub("", image))].append(image)
        whole[folders].append(image)
        for n in range(len(folders)):
            longer[folders[:n]].append(image)
    exact: dict[str, list[str]] = defaultdict(list)
    possible: dict[str, list[str]] = defaultdict(list)
    for one in ids:
        folders = tuple(_folders(one))
        for image in same.get(_parts(one), ()):
            exact[image].append(one)
        # Not apart: the folders of one are the innermost folders of the other.
        shorter = (whole.get(folders[:n], ()) for n in range(len(folders) + 1))
        for image in chain(*shorter, longer.get(folders, ())):
            possible[image].append(one)
    certain = {one for ones in exact.values() for one in ones}
    told = {image: ones[0] for image, ones in exact.items() if len(ones) == 1}
    for image, ones in possible.items():
        if image not in exact and len(ones) == 1 and ones[0] not in certain:
            told[image] = ones[0]
    return told


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
    >>> bare_id("sub/a.dcm!/frame-0002"), bare_id("a!frame-0002")
    ('a!frame-0002', 'a!frame-0002')
    """
    if found := FRAME.fullmatch(decode_name(image_id)):
        return f"{bare_id(encode_name(found[1]))}!frame-{found[2]}"
    name = re.split(r"[/\\]", decode_name(image_id))[-1]
    suffix = _SUFFIX.search(name, name.rfind(".")) if "." in name else None
    return canonical_id(name[: suffix.start()] if suffix and suffix.start() else name)


def apart(one: str, other: str) -> bool:
    """Whether two paths have folders, and not the same ones: ``a/x`` and ``b/x``."""
    mine, theirs = _folders(one), _folders(other)
    return any(a != b for a, b in zip(mine, theirs, strict=False))


def _folders(path: str) -> list[str]:
    """Give the folders of a path, the innermost first; an archive is the folder it unpacks to."""
    # A file is no folder of its frames.
    whole = _FILE_OF_FRAME.sub(r"!\1", canonical_id(decode_name(path)))
    parts = re.split(r"[/\\]", whole)[-2::-1]
    return [_ARCHIVE.sub("", part) for part in parts]


def _parts(path: str) -> tuple[str, ...]:
    return tuple(re.split(r"[/\\]", canonical_id(decode_name(path))))


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
        f"{path}: found {rows['image_id'].nunique()} image_id of the truth that several scored "
        f"images of different bytes or scores share: {first} is {images}; wanted one image for "
        "every image_id of the truth.\nNext: write the whole path of each image as its id in the "
        f"truth, such as {rows['image'].iloc[0]}, or remove the rows of the images that the truth "
        "does not mean"
    )
