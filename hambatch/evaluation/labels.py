"""Which of the seven classes each label of a truth means, and which rows have none of them."""

import shlex
import unicodedata
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hambatch.engines.classes import CLASSES
from hambatch.errors import InputError
from hambatch.evaluation.options import LabelOptions
from hambatch.system.text import COLUMNS_NAMED, excerpt, first_names, plural
from hambatch.system.text_table import TextTable


@dataclass(frozen=True)
class Labels:
    """The labels of a table, one for each of its rows.

    Attributes
    ----------
    table
        Where they stand, for messages.
    texts
        The labels as they are written, without spaces around them; empty where there is none.
    column
        The column that holds them; None where the header of the column that is 1 is the label.
    id_column
        The column that names the image, for messages.
    known
        Classes of labels beside the names of the classes and those of ``--map``.
    """

    table: TextTable
    texts: pd.Series
    column: str | None
    id_column: str
    known: Mapping[str, str]


@dataclass(frozen=True)
class Meanings:
    """What labels mean.

    Attributes
    ----------
    dx
        The class of each row; empty where the label is none of the seven.
    map
        The labels that are mapped to a class: ``class`` and number of ``images``.
    left_out
        Only where there are such: ``other_classes``, a label to its number of images, the most
        frequent first; ``unlabelled``, the number of images without a label.
    """

    dx: pd.Series
    map: dict[str, dict[str, Any]]
    left_out: dict[str, Any]


def meanings_of(labels: Labels, chosen: NDArray[np.bool_], options: LabelOptions) -> Meanings:
    """Find the class of every row.

    Labels that differ in case, in spaces or in how Unicode writes an accented letter are one
    label, which is counted under its most frequent spelling.

    Parameters
    ----------
    chosen
        bool, one for each row: only these are evaluated, and counted.

    Raises InputError if ``--map`` contradicts itself or names a label that the table does not
    have; or if a chosen row has another label, or none, and these are not excluded.
    """
    keys = _by_value(labels.texts, key_of)
    asked = _asked(labels, options)
    _refuse_absent(labels, keys, options)
    class_of = {**labels.known, **{name: name for name in CLASSES}, **asked}
    dx = _by_value(keys, lambda key: class_of.get(key, ""))
    counts = _counts(labels.texts[chosen])
    others = {text: n for key, text, n in counts if key and key not in class_of}
    unlabelled = sum(n for key, _, n in counts if not key)
    _refuse_left_out(labels, chosen & (dx == "").to_numpy(), others, unlabelled, options)
    mapped = {
        text: {"class": class_of[key], "images": n}
        for key, text, n in counts
        if key in class_of and key not in CLASSES
    }
    left_out: dict[str, Any] = {"other_classes": others} if others else {}
    return Meanings(dx, mapped, left_out | ({"unlabelled": unlabelled} if unlabelled else {}))


def key_of(label: str) -> str:
    r"""Bring a label to the one form of its spellings.

    >>> key_of("Seborrheic  KERATOSIS "), key_of("Na\u0308vus") == key_of("n\u00e4vus")
    ('seborrheic keratosis', True)
    """
    return unicodedata.normalize("NFC", " ".join(label.split()).casefold())


def _by_value(texts: pd.Series, meaning: Any) -> pd.Series:
    """Apply a function once to each value."""
    return texts.map({text: meaning(text) for text in texts.unique()})


def _counts(texts: pd.Series) -> list[tuple[str, str, int]]:
    """Give every label's key, spelling and number of rows, the most frequent first."""
    spelling: dict[str, str] = {}
    rows: Counter[str] = Counter()
    for text, n in Counter(texts).most_common():
        spelling.setdefault(key_of(text), text)
        rows[key_of(text)] += n
    return sorted(((key, spelling[key], n) for key, n in rows.items()), key=_rank)


def _rank(one: tuple[str, str, int]) -> tuple[int, str]:
    return -one[2], one[0]


def _asked(labels: Labels, options: LabelOptions) -> dict[str, str]:
    """Give the classes that ``--map`` names, by the key of the label."""
    asked: dict[str, str] = {}
    for label, name in options.map:
        key = key_of(label)
        stands = key if key in CLASSES else asked.get(key, name)
        if stands != name:
            pair = shlex.quote(f"{label}={name}")
            why = "is a class" if key in CLASSES else f"is {stands} by another --map"
            raise _refused(
                labels.table,
                f"found --map {pair}, but {excerpt(repr(key))} {why}; wanted one class for each "
                "label, in any case of its letters",
                "leave one --map away, or rename the label in the table",
            )
        asked[key] = name
    return asked


def _refuse_absent(labels: Labels, keys: pd.Series, options: LabelOptions) -> None:
    """Raise InputError for a label of ``--map`` that no row has."""
    present = set(keys.unique())
    absent = [label for label, _ in options.map if key_of(label) not in present]
    if absent:
        counts = [(text, n) for key, text, n in _counts(labels.texts) if key]
        raise _refused(
            labels.table,
            f"found no label {first_names([repr(label) for label in absent])} of --map; "
            f"wanted labels of the table: {counted(counts)}",
            "correct --map, or leave the label away",
        )


def _refuse_left_out(
    labels: Labels,
    left_out: NDArray[np.bool_],
    others: Mapping[str, int],
    unlabelled: int,
    options: LabelOptions,
) -> None:
    """Raise InputError for rows of other classes, and rows without a label, if not excluded."""
    found, following = [], []
    if others and not options.exclude_other_classes:
        found.append(f"labels that are none of the classes: {counted(others.items())}")
        quoted = [shlex.quote(f"{excerpt(label)}=CLASS") for label in others]
        pairs = first_names([f"--map {pair}" for pair in quoted], separator=" ")
        following.append(
            f"add {pairs} with the class of each, or --exclude-other-classes to leave out what is "
            "of no class"
        )
    if unlabelled and not options.exclude_unlabelled:
        found.append(f"{plural(unlabelled, 'image')} without a label")
        following.append(f"add --exclude-unlabelled to leave out {unlabelled} without a label")
    if not found:
        return
    table, first = labels.table, int(np.flatnonzero(left_out & _blamed(labels, options))[0])
    shown, named = labels.texts.iloc[first], table.rows[labels.id_column].iloc[first]
    place = f" in column {labels.column}" if labels.column else ""
    where = (
        f"{excerpt(repr(shown))} in row {table.numbers[first]} "
        f"({labels.id_column} {excerpt(repr(named))})"
    )
    raise _refused(
        table,
        f"found {' and '.join(found)}{place}; the first is {where}; wanted one of "
        f"{' '.join(CLASSES)}, or a label that --map gives one of them",
        "; ".join(following),
    )


def _blamed(labels: Labels, options: LabelOptions) -> NDArray[np.bool_]:
    """Tell the rows that are not excluded: by the kind of what they lack."""
    empty = (labels.texts == "").to_numpy()
    return np.where(empty, not options.exclude_unlabelled, not options.exclude_other_classes)


def counted(labels: Any, at_most: int = COLUMNS_NAMED) -> str:
    """List labels with their numbers of images: ``scc (3), UNK (1)``."""
    return first_names([f"{excerpt(label)} ({n})" for label, n in labels], at_most)


def _refused(table: TextTable, found: str, following: str) -> InputError:
    return InputError(f"{table.path}: {found}.\nNext: {following}")
