"""What evaluated images share with training images: ids, lesions, bytes, pictures."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd

from hambatch.engines.training_images import hashed
from hambatch.ham10000.leaks import KNOWN_PAIRS, SHOWN
from hambatch.ham10000.perceptual_hash import (
    LEAST_PACKED_CORRELATION,
    PACKED_BYTES,
    Signatures,
    near_pairs,
    unpacked,
)
from hambatch.system.text import canonical_id, first_names


class Leak(NamedTuple):
    """An evaluated image and the training image that it shares something with.

    The latter has no name where only hashes of its ids are known.
    """

    image_id: str
    trained_image_id: str


Check = Callable[[pd.DataFrame, pd.DataFrame], list[Leak]]
"""Finds leaks between evaluated and training images; see :func:`find_leaks`."""


def same(column: str) -> Check:
    """Build the check for equal values of a column; an empty value equals nothing."""

    def check(evaluated: pd.DataFrame, trained: pd.DataFrame) -> list[Leak]:
        # The first of several training images, as the table has them.
        known = dict(zip(trained[column][::-1], trained["image_id"][::-1], strict=True))
        pairs = zip(evaluated["image_id"], evaluated[column], strict=True)
        return [Leak(image, known[value]) for image, value in pairs if value and value in known]

    return check


def known_pair(evaluated: pd.DataFrame, trained: pd.DataFrame) -> list[Leak]:
    """Find photographs of one lesion that HAM10000 lists under two lesion ids."""
    both = [pair for one in KNOWN_PAIRS for pair in (one, one[::-1])]
    partner = {hashed(canonical_id(a)): canonical_id(b) for a, b in both}
    known = set(trained["image"])
    pairs = zip(evaluated["image_id"], evaluated["image"].map(partner).fillna(""), strict=True)
    return [Leak(image, other) for image, other in pairs if other and hashed(other) in known]


def same_picture(evaluated: pd.DataFrame, trained: pd.DataFrame) -> list[Leak]:
    """Find images that are nearly the same, as far as both pictures are known."""
    first, second = (images[images["picture"] != b""] for images in (evaluated, trained))
    if first.empty or second.empty:
        return []
    both = _signatures(first), _signatures(second)
    # The first training image of several is enough.
    found = dict(near_pairs(*both, LEAST_PACKED_CORRELATION)[::-1].tolist())
    names, trained_names = list(first["image_id"]), list(second["image_id"])
    return [Leak(names[at], trained_names[other]) for at, other in sorted(found.items())]


def _signatures(images: pd.DataFrame) -> Signatures:
    rows = np.frombuffer(b"".join(images["picture"]), np.uint8)
    return unpacked(rows.reshape(-1, PACKED_BYTES))


SAME_IMAGE, SAME_LESION, SAME_BYTES = "the same image", "the same lesion", "the same bytes"
ONE_LESION, SAME_PICTURE = "one lesion under two ids", "nearly the same picture"

CHECKS: dict[str, Check] = {
    SAME_IMAGE: same("image"),
    SAME_LESION: same("lesion"),
    SAME_BYTES: same("content"),
    ONE_LESION: known_pair,
    SAME_PICTURE: same_picture,
}
"""Every check, by what the two images share."""

_NEEDS = {SAME_LESION: "lesion", SAME_BYTES: "content", SAME_PICTURE: "picture"}
"""The column that a check compares, of those that may be empty."""

Leaks = dict[str, list[Leak]]
"""What each check found."""


def find_leaks(evaluated: pd.DataFrame, trained: pd.DataFrame) -> Leaks:
    """Compare evaluated with training images.

    Both have ``image_id`` (of a training image it may be empty) and the columns
    :data:`~hambatch.ham10000.training_images.KEYS`.
    """
    return {what: check(evaluated, trained) for what, check in CHECKS.items()}


def not_checked(evaluated: pd.DataFrame, trained: pd.DataFrame) -> dict[str, int]:
    """Count the evaluated images that a check has nothing to compare of, check by check."""
    counts = {}
    for what, column in _NEEDS.items():
        nothing = not trained[column].astype(bool).any()
        unknown = len(evaluated) if nothing else int((~evaluated[column].astype(bool)).sum())
        if unknown:
            counts[what] = unknown
    return counts


def leaking_ids(leaks: Leaks) -> set[str]:
    """Give the evaluated images that share anything."""
    return {leak.image_id for found in leaks.values() for leak in found}


def described(leaks: Leaks) -> str:
    """Say how many images share what, and name the first."""
    return "; ".join(_described(what, found) for what, found in leaks.items() if found)


def _described(what: str, leaks: list[Leak]) -> str:
    pairs = [" and ".join(filter(None, leak)) for leak in leaks]
    return f"{len(leaks)} with {what} ({first_names(pairs, SHOWN)})"
