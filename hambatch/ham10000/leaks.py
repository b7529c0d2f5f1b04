"""The leak check of a split: what is trained on is not held out."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hambatch.errors import InputError
from hambatch.system.text import first_names

KNOWN_PAIRS = (
    ("ISIC_0024437", "ISIC_0031299"),
    ("ISIC_0024602", "ISIC_0032283"),
    ("ISIC_0024629", "ISIC_0029625"),
    ("ISIC_0024736", "ISIC_0029748"),
    ("ISIC_0024770", "ISIC_0027811"),
    ("ISIC_0024879", "ISIC_0030906"),
    ("ISIC_0025226", "ISIC_0030074"),
    ("ISIC_0025664", "ISIC_0026087"),
    ("ISIC_0027027", "ISIC_0029036"),
    ("ISIC_0027162", "ISIC_0029061"),
    ("ISIC_0027689", "ISIC_0032647"),
    ("ISIC_0027820", "ISIC_0028209"),
    ("ISIC_0029152", "ISIC_0033173"),
    ("ISIC_0030000", "ISIC_0031392"),
    ("ISIC_0032634", "ISIC_0033556"),
    ("ISIC_0033374", "ISIC_0033417"),
    ("ISIC_0033391", "ISIC_0034186"),
    ("ISIC_0033421", "ISIC_0033481"),
)

_FIRST = ("train", "test", "certify", "gate", "val")
"""Where both end: nothing that was trained on is held out, and what was held out stays so."""


def known_pairs_in(table: pd.DataFrame) -> NDArray[np.int64]:
    """Find the pairs of which both images are rows of a table: int64 ``[m, 2]``."""
    row = {name: k for k, name in enumerate(table["image_id"])}
    found = [(row[one], row[other]) for one, other in KNOWN_PAIRS if {one, other} <= row.keys()]
    return np.array(found, np.int64).reshape(-1, 2)


def on_one_side(table: pd.DataFrame) -> pd.Series:
    """Move the lesions of every pair to one side; all other rows keep theirs.

    Afterwards, and not by joining groups before the split is drawn, so that the draw is the same
    with and without them. ``table`` needs ``image_id``, ``group`` and ``split``.
    """
    sides, groups = table["split"].copy(), table["group"]
    # Two pairs never share a lesion, so one pass is enough.
    for pair in known_pairs_in(table).tolist():
        side = min(sides.iloc[pair], key=_FIRST.index)
        sides[groups.isin(groups.iloc[pair])] = side
    return sides


SHOWN = 3
"""How many leaks of a kind a message names before it only counts."""

_TOGETHER = {
    "lesion_id": "lesions are in several splits",
    "sha256": "byte-identical images are in several splits",
}


def check_leaks(table: pd.DataFrame, name: str = "the split") -> None:
    """Refuse a split table with a lesion, identical bytes, or a known pair in two splits.

    Parameters
    ----------
    table
        One row an image; needs ``image_id``, ``lesion_id``, ``sha256``, ``split``.
    name
        What to call the table in the message, such as its path.

    Raises InputError, naming the images of the first leaks of each kind and the number of leaks.
    """
    leaks = {}
    for column, what in _TOGETHER.items():
        apart = table.groupby(column)["split"].transform("nunique") > 1
        leaks[what] = [rows for _, rows in table[apart].groupby(column)]
    pairs = [table.iloc[pair] for pair in known_pairs_in(table).tolist()]
    leaks["known pairs of one lesion under two ids are in several splits"] = [
        rows for rows in pairs if rows["split"].nunique() > 1
    ]
    found = [
        f"{len(some)} {what}: {first_names(list(map(_describe, some)), SHOWN, '; ')}"
        for what, some in leaks.items()
        if some
    ]
    if found:
        raise InputError(
            f"{name} leaks: found {'; and '.join(found)}. "
            "Wanted every lesion, which a known pair is, and all identical bytes, in one split.\n"
            "Next: hambatch prepare HAM10000_DIR --out split.csv"
        )


def _describe(rows: pd.DataFrame) -> str:
    images = ", ".join(rows["image_id"] + " in " + rows["split"])
    return f"{' = '.join(sorted(set(rows['lesion_id'])))} ({images})"
