"""Training images of other sources than the split table: read, and none that is held out."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hambatch.engines.classes import CLASSES
from hambatch.errors import InputError
from hambatch.ham10000.images import find_images
from hambatch.ham10000.perceptual_hash import near_pairs, signatures_of, thumbnails
from hambatch.ham10000.table import dataset_root, files_of, record_path
from hambatch.system.files import sha256_of_file
from hambatch.system.text import canonical_id
from hambatch.system.text_table import TextTable, read_csv
from hambatch.training.extra_options import Extra, ExtraOptions

NEXT = "give --extra a table with the columns path (or image_id) and dx, and maybe lesion_id, set"

COLUMNS = ("path", "image_id", "dx", "lesion_id", "set", "split")

FILE = "file"
"""The column of a split table that has the paths, below the folder that its record names."""

MOST_BITS, LEAST_CORRELATION = 10, 0.97
"""When an image of another source looks like one of the split table.

Wider than the bounds within one table: a wrong match costs a training image, a missed one is a
leak. Of 306 images of HAM10000, copies of 64 to 256 pixels a side and JPEG quality 40 to 75 differ
in 6 bits at most and correlate by 0.985 at least.
"""

NAMED = 100
"""Dropped images that a record names, for each reason."""

OTHER_DX, NO_FILE, UNREADABLE, REPEATED, CONTRADICTING, HELD_OUT = (
    "dx is none of the seven classes",
    "no file",
    "cannot be decoded, so it cannot be compared",
    "same bytes as another image of these sources",
    "same bytes as an image of another dx",
    "held out by the column split",
)

log = logging.getLogger(__name__)

Dropped = dict[str, list[str]]
"""Image ids by the reason."""


@dataclass(frozen=True)
class ExtraSource:
    """What is trained on of one source.

    Attributes
    ----------
    about
        The option.
    licence
        Of its images.
    images
        ``image_id``, ``lesion_id`` (may be empty), ``dx``, ``file`` (absolute) and ``sha256``.
    table_sha256
        Of the table's file.
    dropped
        Image ids of the other rows, by the reason.
    left_out
        These rows; ``file`` and ``sha256`` are empty where there is no file.
    """

    about: Extra
    licence: str
    images: pd.DataFrame
    table_sha256: str
    dropped: Dropped = field(default_factory=dict)
    left_out: pd.DataFrame = field(default_factory=pd.DataFrame)

    def record(self) -> dict[str, Any]:
        """Describe it for ``engine.json``; no path of this machine is in it."""
        lesions = self.images["lesion_id"]
        return {
            **self.about.record(),
            "licence": self.licence,
            "table_sha256": self.table_sha256,
            "images": len(self.images),
            "lesions": int(lesions[lesions != ""].nunique()),
            "counts": {dx: int((self.images["dx"] == dx).sum()) for dx in CLASSES},
            "dropped": {
                why: {"images": len(names), "named": sorted(names)[:NAMED]}
                for why, names in sorted(self.dropped.items())
            },
        }


def read_extras(options: ExtraOptions, table: pd.DataFrame, root: Path) -> tuple[ExtraSource, ...]:
    """Read the sources, and drop every image that is one of the split table or looks like it.

    Whatever part of the split table it is in: a second copy of a training image adds nothing. An
    image that looks like one that its own source holds out is dropped too; and so are all images
    of the lesion of a dropped one.

    Parameters
    ----------
    table, root
        All rows of the split table, and the folder of its images.

    Raises InputError if a table or its licence is missing, a column is, or no image is left.
    """
    if not options.extra:
        return ()
    licences = options.licences()
    found = [_read(about, options) for about in options.extra]
    rows = pd.concat([part.assign(source=k) for k, (part, _) in enumerate(found)])
    rows = rows.reset_index(drop=True)
    why = _reasons(rows, table, root)
    sources = []
    for k, (about, (_, digest)) in enumerate(zip(options.extra, found, strict=True)):
        own = rows["source"] == k
        dropped = {
            reason: list(part["image_id"]) for reason, part in rows[own & (why != "")].groupby(why)
        }
        kept, left_out = (
            rows[own & which].drop(columns=["source", "split"]).reset_index(drop=True)
            for which in (why == "", why != "")
        )
        licence = licences[about.name]
        sources.append(ExtraSource(about, licence, kept, digest, dropped, left_out))
        _report(sources[-1])
    return tuple(sources)


def _report(source: ExtraSource) -> None:
    if source.images.empty:
        why = ", ".join(f"{reason}: {len(names)}" for reason, names in source.dropped.items())
        raise InputError(
            f"--extra {source.about.name}: found no image to train on ({why}); wanted at least one."
            f"\nNext: {NEXT}"
        )
    log.info("%s: %d images", source.about.name, len(source.images))
    for reason, names in sorted(source.dropped.items()):
        log.info("%s: %d images dropped: %s", source.about.name, len(names), reason)


def _read(about: Extra, options: ExtraOptions) -> tuple[pd.DataFrame, str]:
    """Read the rows of a source, with ``file`` and ``sha256`` (empty if there is none)."""
    path = Path(about.table)
    table = read_csv(path, NEXT, (*COLUMNS, FILE))
    table.check_columns(["dx"])
    folders = [path.parent, *map(Path, options.extra_images)]
    if table.has([FILE]) and not table.has(["path"]):
        table = replace(table, rows=table.rows.rename(columns={FILE: "path"}))
        if record_path(path).is_file():
            folders.insert(0, dataset_root(path))
    if not table.has(["path"]) and not table.has(["image_id"]):
        raise table.columns_refused("a column path or image_id")
    rows = pd.DataFrame({name: _column(table, name) for name in COLUMNS})
    stems = rows["path"].map(lambda name: Path(name).stem)
    rows["image_id"] = rows["image_id"].where(rows["image_id"] != "", stems).map(canonical_id)
    table = table.holding(rows)
    table.check("image_id", rows["image_id"] != "", "a path or an image_id", "path")
    table.check_cells(["image_id", "lesion_id"], "image_id")
    if about.part:
        rows = rows[rows["set"] == about.part]
        if rows.empty:
            sets = ", ".join(sorted(set(table.rows["set"]) - {""})) or "none"
            raise table.refused(f"sets {sets}", f"rows of set {about.part}")
    files = _files(rows, folders)
    rows = rows.assign(file=files, sha256=[sha256_of_file(Path(f)) if f else "" for f in files])
    return rows.drop(columns=["path", "set"]), sha256_of_file(path)


def _column(table: TextTable, name: str) -> pd.Series:
    if table.has([name]):
        return table.known_in(name) if name == "lesion_id" else table.rows[name].str.strip()
    return pd.Series("", table.rows.index)


def _files(rows: pd.DataFrame, folders: Iterable[Path]) -> list[str]:
    """Find the file of each row: by its path below a folder, or by its id; empty if it has none."""
    folders = [folder.resolve() for folder in folders]
    by_id: dict[str, str] = {}
    if (rows["path"] == "").any():
        for folder in reversed(folders):
            names = find_images(folder).images
            by_id |= {image_id: str(folder / found[0]) for image_id, found in names.items()}
    return [
        next((str(f / path) for f in folders if (f / path).is_file()), "")
        if path
        else by_id.get(image_id, "")
        for path, image_id in zip(rows["path"], rows["image_id"], strict=True)
    ]


def _reasons(rows: pd.DataFrame, table: pd.DataFrame, root: Path) -> pd.Series:
    """Say of each row why it is not trained on; empty: it is."""
    why = pd.Series("", rows.index)

    def drop(which: Any, reason: Any) -> None:
        nonlocal why
        why = why.mask((why == "") & which, reason)

    drop(~rows["dx"].isin(CLASSES), OTHER_DX)
    drop(rows["sha256"] == "", NO_FILE)
    for column, what in (
        ("sha256", "same bytes as an image of"),
        ("image_id", "same id as an image of"),
        ("lesion_id", "same lesion as an image of"),
    ):
        parts = _parts_by(table, column)
        met = rows[column].map(lambda value, parts=parts: parts.get(value, "") if value else "")
        drop(met != "", f"{what} " + met)
    drop(~rows["split"].isin(["", "train"]), HELD_OUT)
    pictures = thumbnails(files_of(rows[rows["sha256"] != ""], Path()))
    drop(~rows["sha256"].isin(list(pictures)), UNREADABLE)
    drop(*_looking_like(rows, pictures, table, root))
    drop(*_looking_like_held_out(rows, pictures, why))
    several = rows.groupby("sha256")["dx"].transform("nunique") > 1
    drop(several, CONTRADICTING)
    drop(rows[why == ""].duplicated("sha256").reindex(rows.index, fill_value=False), REPEATED)
    met = why.str.startswith(MET)
    lesions = set(rows["lesion_id"][met]) - {""}
    drop(rows["lesion_id"].isin(lesions), "same lesion as an image that was dropped")
    return why


MET = (
    "same bytes as an image of",
    "same id as an image of",
    "same lesion as",
    "looks like",
    "held",
)
"""Reasons that are of a lesion, not only of an image."""


def _parts_by(table: pd.DataFrame, column: str) -> Mapping[str, str]:
    """Name the part of the split table that a value is in; a held-out one if there are several."""
    values = table[column].map(canonical_id) if column == "image_id" else table[column]
    order = (table["split"] != "train").to_numpy()
    at = np.argsort(order, kind="stable")
    return dict(zip(values.iloc[at], table["split"].iloc[at], strict=True))


def _looking_like(
    rows: pd.DataFrame, pictures: Mapping[str, Any], table: pd.DataFrame, root: Path
) -> tuple[pd.Series, pd.Series]:
    """Find rows that look like an image of the split table, and name its part."""
    theirs = thumbnails(files_of(table, root))
    parts = dict(zip(table["sha256"], table["split"], strict=True))
    met = _near(pictures, theirs)
    return rows["sha256"].isin(list(met)), rows["sha256"].map(
        lambda sha256: f"looks like an image of {parts[met[sha256]]}" if sha256 in met else ""
    )


def _looking_like_held_out(
    rows: pd.DataFrame, pictures: Mapping[str, Any], why: pd.Series
) -> tuple[pd.Series, str]:
    """Find rows that look like an image that one of these sources holds out."""
    apart = set(rows["sha256"][why == HELD_OUT])
    theirs = {sha256: picture for sha256, picture in pictures.items() if sha256 in apart}
    ours = {sha256: picture for sha256, picture in pictures.items() if sha256 not in apart}
    met = _near(ours, theirs)
    same_lesion = rows["lesion_id"].isin(set(rows["lesion_id"][why == HELD_OUT]) - {""})
    return rows["sha256"].isin([*met, *apart]) | same_lesion, "looks like an image that is held out"


def _near(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, str]:
    """Map hashes of ours to those of theirs that they look like."""
    if not ours or not theirs:
        return {}
    one, other = (signatures_of(np.stack(list(part.values()))) for part in (ours, theirs))
    names, others = list(ours), list(theirs)
    pairs = near_pairs(one, other, LEAST_CORRELATION, MOST_BITS)
    return {names[low]: others[high] for low, high in pairs.tolist()}
