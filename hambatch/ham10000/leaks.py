"""The leak check: nothing that is seen in training is held out."""

import pandas as pd

from hambatch.errors import InputError
from hambatch.ham10000.known_pairs import known_pairs_in

_TOGETHER = {
    "lesion_id": "lesions lie on several sides",
    "sha256": "byte-identical images lie on several sides",
}


def check_leaks(table: pd.DataFrame, name: str = "the split") -> None:
    """Refuse a split table with a lesion, or identical bytes, on two sides.

    The photographs of a known pair (:mod:`hambatch.ham10000.known_pairs`) are one lesion.

    Parameters
    ----------
    table
        One row an image; needs ``image_id``, ``lesion_id``, ``sha256``, ``split``.
    name
        What to call the table in the message, such as its path.

    Raises
    ------
    InputError
        Naming the images of the first three leaks and the number of leaks.
    """
    found = []
    for column, what in _TOGETHER.items():
        sides = table.groupby(column)["split"].nunique()
        leaks = sides.index[sides > 1]
        found += _told(what, [table[table[column] == leak] for leak in leaks])
    pairs = [table.iloc[pair] for pair in known_pairs_in(table).tolist()]
    apart = [pair for pair in pairs if pair["split"].nunique() > 1]
    found += _told("known pairs of one lesion under two ids lie on several sides", apart)
    if found:
        raise InputError(
            f"{name} leaks: found {'; and '.join(found)}. "
            "Wanted every lesion, which a known pair is, and all identical bytes, on one side.\n"
            "Next: hambatch prepare HAM10000_DIR --out split.csv"
        )


def _told(what: str, leaks: list[pd.DataFrame]) -> list[str]:
    shown = "; ".join(map(_describe, leaks[:3])) + ("; ..." if len(leaks) > 3 else "")
    return [f"{len(leaks)} {what}: {shown}"] if leaks else []


def _describe(rows: pd.DataFrame) -> str:
    images = ", ".join(rows["image_id"] + " in " + rows["split"])
    return f"{' = '.join(sorted(set(rows['lesion_id'])))} ({images})"
