"""Where the files of evaluated images lie."""

import shlex
import tempfile
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from hambatch.errors import InputError
from hambatch.evaluation.ids import apart
from hambatch.evaluation.tables import NEXT_PREDICTIONS, read_text_table
from hambatch.scoring.options import ScoreOptions
from hambatch.scoring.plan import sources_of
from hambatch.scoring.record import options_of
from hambatch.scoring.recorded_sources import recorded_sources
from hambatch.sources.entry import Entry
from hambatch.sources.kept_files import KeptFiles
from hambatch.sources.listing import find_images_named, list_sources
from hambatch.sources.reading import Item, fetch
from hambatch.sources.reading_order import in_reading_order
from hambatch.sources.source import Sources
from hambatch.system.text import decode_name, image_id_of

Files = dict[str, Item]
"""Images by the sha256 of their bytes, in the order in which they are read."""


def files_of_run(record: Mapping[str, Any], table: Path, wanted: set[str]) -> Files:
    """Give the images that a run scored by sha256, as far as they are wanted and still there."""
    rows = read_text_table(table, NEXT_PREDICTIONS)
    if not rows.has(["image", "sha256"]):
        return {}
    both = zip(rows.rows["sha256"], rows.rows["image"], strict=True)
    hashes = {decode_name(name): digest for digest, name in both if digest in wanted}
    try:
        sources = recorded_sources(record, options_of(record["options"]))
        found = find_images_named(sources, hashes)
    except InputError:
        return {}  # They are not where the record says.
    items = _in_order(sources, found.values())
    return {hashes[decode_name(entry.name)]: item for entry, item in items}


def files_in(
    images: pd.DataFrame, words: Sequence[Path], record: Mapping[str, Any] | None = None
) -> tuple[pd.DataFrame, Files]:
    """Find the files of evaluated images in sources, by image_id and, if it is known, sha256.

    The options of the run's ``record``, where there is one, say whether archives in folders count.

    Returns
    -------
    The images, with the sha256 of their files where they had none; and the files by sha256.

    Raises InputError if the sources hold none of them.
    """
    options = options_of(record["options"]) if record else ScoreOptions()
    sources = sources_of(words, replace(options, keep_ids=False))
    wanted: dict[str, list[tuple[str, str, str]]] = {}
    known = ("image_id", "sha256", "path")
    for file_id, *one in zip(images["file_id"], *(images[c] for c in known), strict=True):
        wanted.setdefault(file_id, []).append((one[0], one[1], one[2]))
    files, own, kept = Files(), dict[str, str](), KeptFiles()
    for name, file_id, item in _with_ids(sources, wanted):
        file = fetch(item, files=kept)
        if file.problem:
            continue  # no file of an image that was scored
        several = len(wanted[file_id]) > 1
        for image_id, sha256, path in wanted[file_id]:
            if sha256 == file.sha256 or not (sha256 or (several and apart(path, name))):
                files[file.sha256] = item
                own.setdefault(image_id, file.sha256)
    if not files:
        raise InputError(
            f"--images {shlex.join(map(str, words))}: found none of the {len(images)} evaluated "
            f"images, such as {images['image_id'].iloc[0]}, with the bytes of the predictions; "
            "wanted what was scored.\n"
            "Next: name the sources of the run, --images for each, or leave --images away"
        )
    found = images["sha256"].mask(images["sha256"] == "", images["image_id"].map(own).fillna(""))
    return images.assign(sha256=found), files


def _with_ids(sources: Sources, wanted: Container[str]) -> Iterator[tuple[str, str, Item]]:
    """List the images of sources as `score` does; yield name, id and item of those wanted."""
    with tempfile.TemporaryDirectory(prefix="hambatch-") as place:
        listed = list_sources(sources, Path(place) / "listing").entries()
        for entry, item in _in_order(sources, listed):
            if (image_id := image_id_of(entry.name)) in wanted:
                yield entry.name, image_id, item


def _in_order(sources: Sources, entries: Iterable[Entry]) -> Iterator[tuple[Entry, Item]]:
    for index, entry in in_reading_order(enumerate(entries)):
        yield entry, sources.item(index, entry)
