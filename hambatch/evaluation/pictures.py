"""The pictures behind evaluated and training images, as far as their files can be found."""

from pathlib import Path

import pandas as pd

from hambatch.errors import InputError
from hambatch.evaluation.image_ids import canonical_id
from hambatch.evaluation.predictions import NEXT
from hambatch.evaluation.text_table import read_text_table
from hambatch.ham10000.table import dataset_root
from hambatch.names import decode_name
from hambatch.near_duplicates.thumbnails import Thumbnails, thumbnails
from hambatch.run_record import read_record, record_path

COLUMN = "thumbnail"
"""Grey ``[32, 32]``, or None where nobody could look at the picture."""


def with_pictures(
    images: pd.DataFrame, split: pd.DataFrame, predictions: Path, data: Path
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Add the column :data:`COLUMN` to the evaluated images and to the split table.

    Files are looked for where the record of the split table ``data`` says that its images are,
    and in the folder that the record of the run of ``predictions`` names.
    """
    known = split.assign(image_id=split["image_id"].map(canonical_id)).set_index("image_id")
    own = images["image_id"].map(known["sha256"]).fillna("")
    hashes = images["sha256"].mask(images["sha256"] == "", own)
    files = {**files_of_run(predictions, set(hashes)), **files_of_split(split, data)}
    seen = thumbnails(files)
    return _with(images, hashes, seen), _with(split, split["sha256"], seen)


def files_of_split(split: pd.DataFrame, data: Path) -> dict[str, Path]:
    """Give the images of a split table by sha256; none if their folder is not here."""
    try:
        root = dataset_root(data)
    except InputError:
        return {}
    names = zip(split["sha256"], split["file"], strict=True)
    return {digest: root / name for digest, name in names}


def files_of_run(predictions: Path, wanted: set[str]) -> dict[str, Path]:
    """Give the images that a run scored by sha256; none if its record is not here."""
    try:
        source = read_record(record_path(predictions)).get("source")
    except InputError:
        return {}
    table = read_text_table(predictions, NEXT)
    if not isinstance(source, str) or not table.has(["image", "sha256"]):
        return {}
    folder = Path(decode_name(source))
    names = zip(table.rows["sha256"], table.rows["image"], strict=True)
    return {digest: folder / decode_name(name) for digest, name in names if digest in wanted}


def _with(table: pd.DataFrame, hashes: pd.Series, seen: Thumbnails) -> pd.DataFrame:
    found = [seen.get(digest) for digest in hashes]
    return table.assign(**{COLUMN: pd.Series(found, index=table.index, dtype=object)})
