"""The leak check: an image that was trained on, or one like it, is not evaluated."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from hambatch.errors import InputError
from hambatch.evaluation.tables import NEXT_PREDICTIONS, read_text_table
from hambatch.ham10000.leaks import KNOWN_PAIRS, SHOWN
from hambatch.ham10000.perceptual_hash import near_pairs, signatures_of, thumbnails
from hambatch.ham10000.table import dataset_root, files_of
from hambatch.system.text import canonical_id, decode_name
from hambatch.system.text_table import first_names

COLUMN = "thumbnail"
"""Grey ``[32, 32]``, or None where the image is not here or cannot be decoded."""


def with_thumbnails(
    images: pd.DataFrame,
    split: pd.DataFrame,
    predictions: Path,
    data: Path,
    record: Mapping[str, Any] | None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Add the column :data:`COLUMN` to the evaluated images and to the split table.

    Files are looked for where the record of the split table ``data`` says that its images are,
    and in the folder that ``record``, of the run of ``predictions``, names.
    """
    known = split.assign(image_id=split["image_id"].map(canonical_id)).set_index("image_id")
    own = images["image_id"].map(known["sha256"]).fillna("")
    hashes = images["sha256"].mask(images["sha256"] == "", own)
    files = {} if record is None else _files_of_run(record, predictions, set(hashes))
    try:
        files |= files_of(split, dataset_root(data))
    except InputError:
        pass  # The images of the split table are not here.
    found = thumbnails(files)
    columns = ([found.get(digest) for digest in some] for some in (hashes, split["sha256"]))
    first, second = (pd.Series(column, dtype=object) for column in columns)
    return images.assign(**{COLUMN: first}), split.assign(**{COLUMN: second})


def _files_of_run(record: Mapping[str, Any], table: Path, wanted: set[str]) -> dict[str, Path]:
    """Give the images that a run scored by sha256, as far as they are wanted."""
    source, rows = record.get("source"), read_text_table(table, NEXT_PREDICTIONS)
    if not isinstance(source, str) or not rows.has(["image", "sha256"]):
        return {}
    folder = Path(decode_name(source))
    names = zip(rows.rows["sha256"], rows.rows["image"], strict=True)
    return {digest: folder / decode_name(name) for digest, name in names if digest in wanted}


class Leak(NamedTuple):
    """An evaluated image and the training image that it shares something with."""

    image_id: str
    trained_image_id: str


Check = Callable[[pd.DataFrame, pd.DataFrame], list[Leak]]
"""Finds leaks between evaluated and training images; see :func:`refuse_leaks`."""


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
    partner = {canonical_id(a): canonical_id(b) for one in KNOWN_PAIRS for a, b in (one, one[::-1])}
    known = set(trained["image_id"])
    pairs = [(image, partner.get(image, "")) for image in evaluated["image_id"]]
    return [Leak(image, other) for image, other in pairs if other in known]


def same_picture(evaluated: pd.DataFrame, trained: pd.DataFrame) -> list[Leak]:
    """Find images that are nearly the same, as far as both could be decoded."""
    both = first, second = _decoded(evaluated), _decoded(trained)
    if first.empty or second.empty:
        return []
    pairs = near_pairs(*(signatures_of(np.stack(list(images[COLUMN]))) for images in both))
    # The first training image of several is enough.
    found = dict(pairs[::-1].tolist())
    names, trained_names = list(first["image_id"]), list(second["image_id"])
    return [Leak(names[at], trained_names[other]) for at, other in sorted(found.items())]


CHECKS: dict[str, Check] = {
    "the same image": same("image_id"),
    "the same lesion": same("lesion_id"),
    "the same bytes": same("sha256"),
    "one lesion under two ids": known_pair,
    "nearly the same picture": same_picture,
}
"""Every check, by what the two images share."""


def refuse_leaks(
    images: pd.DataFrame, split: pd.DataFrame, sides: tuple[str, ...], predictions: Path, name: Path
) -> dict[str, Any]:
    """Stop where an evaluated image shares anything with a training image.

    Parameters
    ----------
    images
        The evaluated ones: ``image_id``, ``sha256`` (may be empty), ``lesion_id`` if it is
        known, and :data:`COLUMN` if they were decoded.
    split
        The split table of the training: ``image_id``, ``lesion_id``, ``sha256``, ``split``, and
        :data:`COLUMN` likewise.
    sides
        The values of ``split`` that were trained on.
    predictions, name
        The files that the two come from, for the message.

    Returns
    -------
    JSON-able: ``training_images``, how many it was checked against; ``checks``;
    ``pictures_not_compared``, how many ``evaluated`` and ``training`` images could not be
    decoded; ``validation_images``, evaluated ones by which the training chose.

    Raises InputError, naming the first leaks of each kind, and how many there are.
    """
    split = split.assign(image_id=split["image_id"].map(canonical_id))
    evaluated = _with_lesions(images, split)
    trained = split[split["split"].isin(sides)]
    leaks = {what: check(evaluated, trained) for what, check in CHECKS.items()}
    found = [_described(what, leaking) for what, leaking in leaks.items() if leaking]
    if found:
        leaking_ids = {leak.image_id for leaking in leaks.values() for leak in leaking}
        raise InputError(
            f"{predictions}: {len(leaking_ids)} of {len(evaluated)} evaluated images leak from the "
            f"training images of {name}: found {'; '.join(found)}; wanted images that share "
            f"nothing with the {len(trained)} of split {' and '.join(sides)}.\n"
            "Next: evaluate images that were held out, such as those of --split test"
        )
    validation = split["image_id"][(split["split"] == "val") & ~split["split"].isin(sides)]
    return {
        "training_images": len(trained),
        "checks": list(CHECKS),
        "pictures_not_compared": {
            "evaluated": len(evaluated) - len(_decoded(evaluated)),
            "training": len(trained) - len(_decoded(trained)),
        },
        "validation_images": int(evaluated["image_id"].isin(validation).sum()),
    }


def _decoded(images: pd.DataFrame) -> pd.DataFrame:
    """Keep the rows that have a thumbnail."""
    return images[images[COLUMN].notna()] if COLUMN in images.columns else images.iloc[:0]


def _with_lesions(images: pd.DataFrame, split: pd.DataFrame) -> pd.DataFrame:
    """Give images without a lesion the one that the split table knows."""
    known = images["image_id"].map(split.set_index("image_id")["lesion_id"]).fillna("")
    own = images.get("lesion_id", known)
    return images.assign(lesion_id=own.mask(own == "", known))


def _described(what: str, leaks: list[Leak]) -> str:
    pairs = [f"{leak.image_id} and {leak.trained_image_id}" for leak in leaks]
    return f"{len(leaks)} with {what} ({first_names(pairs, SHOWN)})"
