"""What is known of the images that an engine was trained on: from its split table, or its list."""

from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd

from hambatch.engines.manifest import TRAIN, Manifest
from hambatch.engines.training_images import HeldOutImage, TrainingImage, read_training_images
from hambatch.errors import InputError
from hambatch.evaluation.scored_by import ScoredBy
from hambatch.ham10000.image_ids import HAM10000, hashes_of_ham10000
from hambatch.ham10000.table import command_for, dataset_root, files_of, read_split
from hambatch.ham10000.training_images import pictures_of, with_keys
from hambatch.system.files import sha256_of_file
from hambatch.system.text import canonical_id


@dataclass(frozen=True)
class Training:
    """The images of a training.

    Attributes
    ----------
    name
        What lists them: the split table's file name, or the engine's name.
    images
        ``image_id`` (empty where only hashes are known), ``split`` (empty for other sources' images
        that were not trained on), ``source`` (its name) and the columns
        :data:`~hambatch.ham10000.training_images.KEYS`; of a split table its other columns too.
    sides
        The splits that were trained on; ``assumed`` if no engine says so.
    split_sha256
        Of the split table; ``file`` is its name, if it was read.
    sources
        Names of the sources of the training; the first is that of the split table.
    whole
        Whether an image that is none of ``images``, nor of HAM10000 by its id, is of none of these
        sources, as far as the training knew them.
    files
        Image files of a split table by sha256, as far as they are here.
    """

    name: str
    images: pd.DataFrame
    sides: tuple[str, ...]
    split_sha256: str
    sources: tuple[str, ...]
    whole: bool
    file: str | None = None
    assumed: bool = False
    files: Mapping[str, Path] = field(default_factory=dict)

    @property
    def used(self) -> pd.DataFrame:
        """The images that were trained on."""
        return self.images[self.images["split"].isin(self.sides)]


def training_of(
    by: ScoredBy, truth: Path, data: Path | None, *, second: bool = False
) -> Training | None:
    """Find the training: ``data``, or the truth if it is the engine's split table, or its list.

    The ``second`` of two engines may have had another split table than ``data``. None if nothing
    is known. Raises InputError if ``data`` is not the table that the engine was trained with.
    """
    own = by.manifest.data.get("split_sha256") if by.manifest else None
    path = data or truth
    digest = sha256_of_file(path)
    if own == digest or (data is not None and own is None):
        found = _by_table(path, digest, by.manifest if own else None)
        return _with_other_sources(found, by)
    if by.manifest is None:
        return None
    if data is not None and not second:
        raise _other_table(path, digest, by.folder, by.manifest)
    return listed_by(by.folder, by.manifest)


def _by_table(path: Path, digest: str, manifest: Manifest | None) -> Training:
    table = read_split(path)
    table = table.assign(image_id=table["image_id"].map(canonical_id))
    sides = manifest.trained_on if manifest else TRAIN
    try:
        files = files_of(table, dataset_root(path))
    except InputError:
        files = {}  # The images of the split table are not here.
    trained = set(table["sha256"][table["split"].isin(sides)])
    pictures = pictures_of({sha256: file for sha256, file in files.items() if sha256 in trained})
    images = with_keys(table, pictures)
    named = manifest.data_name if manifest else path.name
    source = HAM10000 if _is_ham10000(images) else named
    return Training(
        path.name,
        images.assign(source=source),
        sides,
        digest,
        (source,),
        manifest is not None,
        path.name,
        manifest is None,
        files,
    )


def _with_other_sources(training: Training, by: ScoredBy) -> Training:
    """Add what the engine lists and its split table does not: images of other sources."""
    if by.manifest is None or not by.manifest.data.get("extra"):
        return training
    listed = listed_by(by.folder, by.manifest)
    if listed is None:
        return replace(training, whole=False)
    own = training.images.assign(source=listed.sources[0])
    # Another source may have a copy of other bytes under the same id.
    known, theirs = (
        pd.MultiIndex.from_frame(rows[["image", "content"]]) for rows in (own, listed.images)
    )
    images = pd.concat([own, listed.images[~theirs.isin(known)]], ignore_index=True)
    images = images.fillna({"image_id": "", "lesion_id": "", "sha256": ""})
    return replace(training, images=images, sources=listed.sources, whole=listed.whole)


def listed_by(folder: Path, manifest: Manifest) -> Training | None:
    """Read what an engine itself lists; None if it has no list."""
    found = read_training_images(folder, manifest)
    if found is None:
        return None
    images, held_out = (
        pd.DataFrame(rows, columns=list(kind._fields), dtype=object)
        for rows, kind in ((found.images, TrainingImage), (found.held_out, HeldOutImage))
    )
    images = pd.concat([images, held_out.assign(split="", picture="")], ignore_index=True)
    images = images.sort_values("source", kind="stable", ignore_index=True)
    pictures = [b64decode(picture) for picture in images["picture"]]
    images = images.assign(
        image_id="",
        picture=pd.Series(pictures, images.index, object),
        source=[found.sources[k] for k in images["source"]],
    )
    # Of format 1 only training images are known. HAM10000's others are known by their ids.
    whole = found.format > 1 or (not manifest.data.get("extra") and _is_ham10000(images))
    return Training(
        manifest.name, images, manifest.trained_on, found.split_sha256, found.sources, whole
    )


def _is_ham10000(images: pd.DataFrame) -> bool:
    return bool(images["image"].isin(hashes_of_ham10000()).all())


def _other_table(path: Path, digest: str, folder: Path, manifest: Manifest) -> InputError:
    """Refuse a split table, and say how to go on: by the engine's list, or with its own table."""
    name, listed = manifest.name, read_training_images(folder, manifest)
    following = f"give the split table that {name} was trained with to --data"
    if listed is not None:
        following = f"leave --data away: {name} lists its training images itself"
        if listed.prepared_with:
            following += (
                f". Its table is that of: {command_for(listed.prepared_with)} "
                "(of the same images only)"
            )
    return InputError(
        f"{path}: found sha256 {digest}; wanted the split table that the "
        f"engine {name} was trained with, {manifest.data['split_sha256']}.\nNext: {following}"
    )
