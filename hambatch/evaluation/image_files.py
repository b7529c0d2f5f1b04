"""Where the files of evaluated images lie."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from hambatch.errors import InputError
from hambatch.evaluation.tables import NEXT_PREDICTIONS, read_text_table
from hambatch.sources.listing import list_images
from hambatch.system.files import sha256_of_file
from hambatch.system.text import decode_name, encode_name, image_id_of


def files_of_run(record: Mapping[str, Any], table: Path, wanted: set[str]) -> dict[str, Path]:
    """Give the images that a run scored by sha256, as far as they are wanted."""
    source, rows = record.get("source"), read_text_table(table, NEXT_PREDICTIONS)
    if not isinstance(source, str) or not rows.has(["image", "sha256"]):
        return {}
    folder = Path(decode_name(source))
    names = zip(rows.rows["sha256"], rows.rows["image"], strict=True)
    return {digest: folder / decode_name(name) for digest, name in names if digest in wanted}


def files_in(images: pd.DataFrame, folder: Path) -> tuple[pd.DataFrame, dict[str, Path]]:
    """Find the files of evaluated images in a folder, by image_id and, if it is known, sha256.

    Returns
    -------
    The images, with the sha256 of their files where they had none; and the files by sha256.

    Raises InputError if the folder holds none of them.
    """
    wanted = dict(zip(images["image_id"], images["sha256"], strict=True))
    files, own = dict[str, Path](), dict[str, str]()
    for path in _listed(folder):
        image_id = image_id_of(encode_name(path.name))
        if image_id not in wanted:
            continue
        try:
            digest = sha256_of_file(path)
        except OSError:
            continue  # no file of an image that was scored
        if wanted[image_id] in ("", digest):
            files[digest] = path
            own.setdefault(image_id, digest)
    if not files:
        raise InputError(
            f"--images {folder}: found none of the {len(images)} evaluated images, such as "
            f"{images['image_id'].iloc[0]}, with the bytes of the predictions; wanted the folder "
            "that was scored.\nNext: name that folder, or leave --images away"
        )
    found = images["sha256"].mask(images["sha256"] == "", images["image_id"].map(own).fillna(""))
    return images.assign(sha256=found), files


def _listed(folder: Path) -> list[Path]:
    """List the images of a folder as `score` does."""
    with tempfile.TemporaryDirectory(prefix="hambatch-") as place:
        return [folder / name for name in list_images(folder, Path(place) / "listing")]
