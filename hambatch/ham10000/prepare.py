"""The story of `prepare`: find and hash the images, split them by lesion, write, sum up."""

import shlex
from collections.abc import Container
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from hambatch import __version__
from hambatch.engines.classes import CLASSES, HELD_APART, SPLITS
from hambatch.errors import InputError
from hambatch.ham10000.images import find_images, hash_images
from hambatch.ham10000.leaks import check_leaks, known_pairs_in, on_one_side
from hambatch.ham10000.metadata import find_metadata, read_metadata
from hambatch.ham10000.near_duplicates import compare_images, joined_groups
from hambatch.ham10000.options import PrepareOptions
from hambatch.ham10000.split import assign_splits, group_lesions
from hambatch.ham10000.table import COLUMNS, record_path
from hambatch.system.files import followed, write_json, write_text
from hambatch.system.text import canonical_id, encode_name, first_names


def prepare(
    root: Path, out: Path, options: PrepareOptions, *, overwrite: bool = False
) -> dict[str, Any]:
    """Split the images by lesion, check for leaks, write ``out`` and its record.

    A metadata row without an image, or an image without a row, is recorded and left out.

    Returns
    -------
    The record that is written to ``out`` + ``.json``: ``hambatch``, ``root``
    (absolute), ``metadata``, the options, ``counts`` (class, then split, then
    images and lesions), ``rows_without_image``, ``images_without_row``, ``left_out``
    (other files, by the reason),
    ``images_with_copies`` (one id in several folders), ``identical``
    (lists of image ids with the same bytes), ``near_duplicates`` (pairs of image
    ids of different lesions that look the same), ``known_pairs`` (those of
    :mod:`hambatch.ham10000.leaks`) and ``not_compared`` (images that cannot be
    decoded).

    Raises InputError if the download or the options cannot be used, or ``out`` is some other file;
    a split table with other rows is one unless ``overwrite``.
    """
    out = followed(out)
    _check_out(root, out)
    metadata_path = find_metadata(root)
    metadata = read_metadata(metadata_path)
    files = find_images(root)
    found, ids_of = files.images, metadata["image_id"].map(canonical_id)
    known = dict(zip(ids_of, metadata["image_id"], strict=True))
    named = {known[name]: found[name] for name in found if name in known}
    table = _join(root, metadata, named)
    _check_labels(table, metadata_path)
    table["group"] = group_lesions(list(table["lesion_id"]), list(table["sha256"]))
    pairs, unseen = compare_images(table, root, "group")
    groups = joined_groups(table, pairs, str(metadata_path))
    table["split"] = assign_splits(groups, list(table["dx"]), **asdict(options))
    table["split"] = on_one_side(table.assign(group=groups))
    check_leaks(table)
    ids = table["image_id"].to_numpy()
    record = {
        "hambatch": __version__,
        "root": str(root.resolve()),
        "metadata": metadata_path.name,
        **asdict(options),
        "counts": count(table),
        "rows_without_image": sorted(known[name] for name in known.keys() - found.keys()),
        "images_without_row": sorted(found.keys() - known.keys()),
        "images_with_copies": [name for name in ids if len(named[name]) > 1],
        "left_out": _left_out(files.left_out, metadata_path.name),
        "identical": _identical(table),
        "near_duplicates": ids[pairs].tolist(),
        "known_pairs": ids[known_pairs_in(table)].tolist(),
        "not_compared": ids[unseen].tolist(),
    }
    text = table[list(COLUMNS)].to_csv(index=False, lineterminator="\n")
    if not overwrite:
        _refuse_other(out, text)
    write_json(record_path(out), record)
    write_text(out, text)
    return record


def _left_out(found: dict[str, list[str]], metadata: str) -> dict[str, list[str]]:
    """Give the files that were left out, by the reason, without the metadata itself."""
    others = {why: [name for name in names if name != metadata] for why, names in found.items()}
    return {why: [encode_name(name) for name in names] for why, names in others.items() if names}


def _check_out(root: Path, out: Path) -> None:
    """Replace nothing but a split table: ``--out`` may be mistyped."""
    next_step = f"Next: hambatch prepare {shlex.quote(str(root))} --out split.csv"
    if not out.parent.is_dir() or out.is_dir():
        found = "a folder" if out.is_dir() else f"no folder {out.parent}"
        raise InputError(
            f"cannot write {out}: found {found}; wanted a file in an existing folder.\n{next_step}"
        )
    if not out.exists():
        return
    with out.open("rb") as stream:
        header = stream.readline(1000).strip()
    if header != ",".join(COLUMNS).encode():
        raise InputError(
            f"{out} exists and is no split table: it begins {header[:40]!r}; "
            "wanted a new file, or a split table to replace.\n"
            f"{next_step}"
        )


def _join(root: Path, metadata: pd.DataFrame, found: dict[str, list[str]]) -> pd.DataFrame:
    """Keep the rows that have a file, sorted by image id, with ``file`` and ``sha256``."""
    if not found:
        raise InputError(
            f"no image below {root} belongs to the metadata, which begins with "
            f"{metadata['image_id'].iloc[0]}; wanted files such as ISIC_0027419.jpg.\n"
            f"Next: unpack HAM10000_images_part_1 and _part_2 into {root} and run this again"
        )
    images = hash_images(root, found)
    table = metadata[metadata["image_id"].isin(images)].sort_values("image_id", ignore_index=True)
    table["file"] = [images[name].file for name in table["image_id"]]
    table["sha256"] = [images[name].sha256 for name in table["image_id"]]
    return table


def _check_labels(table: pd.DataFrame, metadata: Path) -> None:
    """Refuse identical bytes with two classes: one of the labels is wrong."""
    bad = table[table.groupby("sha256")["dx"].transform("nunique") > 1]
    if len(bad):
        same = bad[bad["sha256"] == bad["sha256"].iloc[0]]
        raise InputError(
            f"{metadata}: found byte-identical images with different dx: "
            f"{', '.join(same['image_id'] + ' is ' + same['dx'])}; wanted one dx.\n"
            "Next: restore these images, or remove their rows, and run this again"
        )


def count(table: pd.DataFrame) -> dict[str, dict[str, dict[str, int]]]:
    """Count images and lesions: class, then split, then ``images`` and ``lesions``.

    Parts besides ``train``, ``val`` and ``test`` are counted where a table has them.
    """
    parts = parts_of(set(table["split"]))
    counts: dict[str, dict[str, dict[str, int]]] = {}
    for name in CLASSES:
        counts[name] = {}
        for split in parts:
            lesions = table["lesion_id"][(table["dx"] == name) & (table["split"] == split)]
            counts[name][split] = {"images": len(lesions), "lesions": lesions.nunique()}
    return counts


def parts_of(found: Container[str]) -> tuple[str, ...]:
    """Name the parts of a table in order: the three of every table, and those that it has."""
    return (*SPLITS, *(part for part in HELD_APART if part in found))


def _identical(table: pd.DataFrame) -> list[list[str]]:
    twins = table[table["sha256"].duplicated(keep=False)]
    return sorted(list(group) for _, group in twins.groupby("sha256")["image_id"])


def _refuse_other(out: Path, text: str) -> None:
    """Keep a split that engines may have been trained with: it cannot be had again."""
    if out.exists() and out.read_bytes() != text.encode():
        raise InputError(
            f"{out} exists and is another split: the images, the fractions or the seed differ; "
            "engines that were trained with it can be measured with it alone.\n"
            "Next: name another --out, or add --overwrite to replace it"
        )


def summarize(record: dict[str, Any]) -> str:
    """Lay out a record of :func:`prepare` as text."""
    rows = {name: _numbers(splits) for name, splits in record["counts"].items()}
    rows["all"] = [sum(column) for column in zip(*rows.values(), strict=True)]
    names = [*parts_of(record["counts"][CLASSES[0]]), "all"]
    side = "".join(f"{split:>{_width(split)}}" for split in names)
    lines = [
        f"{'':6}{'images':>{len(side)}}  {'lesions':>{len(side)}}",
        f"{'class':6}{side}  {side}",
    ]
    for name, numbers in rows.items():
        cells = [
            f"{number:>{_width(split)}}" for number, split in zip(numbers, 2 * names, strict=True)
        ]
        of_images, of_lesions = cells[: len(names)], cells[len(names) :]
        lines.append(f"{name:6}{''.join(of_images)}  {''.join(of_lesions)}")
    lines.append("")
    for key, what in (
        ("rows_without_image", "metadata rows without image"),
        ("images_without_row", "images without metadata row"),
        ("images_with_copies", "images found in several folders"),
        ("identical", "sets of byte-identical images"),
        ("near_duplicates", "pairs of nearly the same image"),
        ("known_pairs", "pairs of one lesion under two ids"),
        ("not_compared", "images that cannot be decoded"),
    ):
        names = [one if isinstance(one, str) else " = ".join(one) for one in record[key]]
        if names or key != "not_compared":
            named = f" ({first_names(names)})" if names else ""
            lines.append(f"{what}: {len(names)}{named}")
    for why, names in record["left_out"].items():
        lines.append(f"files {why}, left out: {len(names)} ({first_names(names)})")
    lines.append("no lesion, no identical bytes and no near-duplicates in two splits")
    return "\n".join(lines)


def _numbers(splits: dict[str, dict[str, int]]) -> list[int]:
    """Images of each split and all, then lesions likewise."""
    images, lesions = ([of[what] for of in splits.values()] for what in ("images", "lesions"))
    return [*images, sum(images), *lesions, sum(lesions)]


def _width(split: str) -> int:
    return max(7, len(split) + 2)
