"""Where evaluated images come from: a source that the engine was trained on, or another one.

An image is of a source if the training knew it: by its id, its bytes or its lesion, whether it was
trained on or not. HAM10000's images are known by their ids, whatever the training knew.
"""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from hambatch.engines.training_images import hashed
from hambatch.evaluation.ids import bare_id
from hambatch.evaluation.trained_images import Training
from hambatch.ham10000.image_ids import (
    HAM10000,
    hashes_of_ham10000,
    is_lesion_of_ham10000,
    is_of_ham10000,
)

INTERNAL, HELD_OUT, EXTERNAL, MIXED, UNKNOWN = (
    "internal",
    "held-out",
    "external",
    "mixed",
    "unknown",
)

KEYS = ("image", "content", "lesion")
"""What an image is known by, the surest first."""

NOT_KNOWN = "the training images of the engine are not known"

NOT_LISTED = "does not list the images of its sources that it was not trained on"

NO_ENGINE = "the engine is not known, and may have been trained on other sources too"

OUT_OF_FOLD = "each score is of a network that did not train on the lesion"

Origin = dict[str, Any]
"""JSON-able.

``kind``: ``internal`` (the source of the split table), ``held-out`` (other sources of the
training), ``external`` (none of them), ``mixed`` or ``unknown``; ``trained_on``, the names of the
training's sources; ``images``, how many of each of these sources; ``others``, how many of none, as
far as it is known; ``why``, a note or None.
"""


def origin_of(images: pd.DataFrame, training: Training | None) -> Origin:
    """Tell the source of each image: ``file_id``, ``lesion_id``, columns ``KEYS``; and sum up.

    None as the training: it is not known what the engine was trained on.
    """
    if training is None:
        return _summed_up(pd.Series("", images.index), (), NOT_KNOWN)
    why = None
    if not training.whole:
        why = NO_ENGINE if training.assumed else f"{training.name} {NOT_LISTED}"
    return _summed_up(_sources(images, training), training.sources, why)


def origin_out_of_fold(images: pd.DataFrame) -> Origin:
    """Sum up images that were held out of the folds of a split table."""
    published = images["file_id"].map(is_of_ham10000).all()
    name = HAM10000 if published else "the split table"
    return _summed_up(pd.Series(name, images.index), (name,), None) | {"why": OUT_OF_FOLD}


def _sources(images: pd.DataFrame, training: Training) -> pd.Series:
    """Name the source of each image; empty: the training knew no such image."""
    found = pd.Series("", images.index)
    for key in KEYS:
        # The first of several rows: that of the split table.
        known = dict(zip(training.images[key][::-1], training.images["source"][::-1], strict=True))
        known.pop("", None)
        found = found.mask(found == "", images[key].map(known).fillna(""))
        if key == "image":
            spelt = images["file_id"].map(lambda name, known=known: _source_by_id(name, known))
            found = found.mask(found == "", spelt)
    own = training.images["image"].isin(hashes_of_ham10000())
    if own.any():
        of_ham10000 = training.images["source"][own].mode()[0]
        ids = images["file_id"].map(bare_id).map(is_of_ham10000).astype(bool)
        lesions = images["lesion_id"].map(is_lesion_of_ham10000).astype(bool)
        found = found.mask((found == "") & (ids | lesions), of_ham10000)
    return found


def _source_by_id(image_id: str, known: Mapping[str, str]) -> str:
    """Find the source of an id that is written in another way; empty: there is none.

    Two images whose ids differ in no more than this are of one source, if not the same.
    """
    bare = bare_id(image_id)
    # ISIC 2019 names the copies of larger images so.
    names = dict.fromkeys([bare, bare.removesuffix("_downsampled")])
    spellings = (form(name) for name in names for form in (str, str.upper, str.lower))
    return next((known[key] for key in map(hashed, spellings) if key in known), "")


def _summed_up(found: pd.Series, sources: tuple[str, ...], why: str | None) -> Origin:
    counts = {name: int((found == name).sum()) for name in sources}
    counts = {name: count for name, count in counts.items() if count}
    others = int((found == "").sum())
    return {
        "kind": _kind(counts, others, sources, known=why is None),
        "trained_on": list(sources),
        "images": counts,
        "others": others,
        "why": why if others else None,
    }


def _kind(counts: dict[str, int], others: int, sources: tuple[str, ...], *, known: bool) -> str:
    if others:
        if not known:
            return UNKNOWN
        return MIXED if counts else EXTERNAL
    own = sources[0]
    if own not in counts:
        return HELD_OUT
    return INTERNAL if len(counts) == 1 else MIXED
