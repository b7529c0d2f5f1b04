"""Photographs of one lesion that HAM10000 lists under two lesion ids.

Abhishek, Jain and Hamarneh found them by image embeddings and confirmed them by eye [1]_. They
are other photographs or crops, which no perceptual hash ties together.

References
----------
.. [1] Investigating the Quality of DermaMNIST and Fitzpatrick17k Dermatological Image Datasets,
   Sci. Data 12:196 (2025), doi:10.1038/s41597-025-04382-5; the pairs are those of
   `newly_discovered_duplicates.csv` in github.com/kakumarabhishek/Corrected-Skin-Image-Datasets.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

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

_FIRST = ("train", "test", "val")
"""Where both end: nothing that was trained on is held out, and what was held out stays so."""


def known_pairs_in(table: pd.DataFrame) -> NDArray[np.int64]:
    """Find the pairs of which both images are rows of a table: int64 ``[m, 2]``."""
    row = {name: k for k, name in enumerate(table["image_id"])}
    found = [(row[one], row[other]) for one, other in KNOWN_PAIRS if {one, other} <= row.keys()]
    return np.array(found, np.int64).reshape(-1, 2)


def on_one_side(table: pd.DataFrame) -> pd.Series:
    """Move the lesions of every pair to one side; all other rows keep theirs.

    Afterwards, and not by joining groups before the split is drawn, so that the draw is the same
    with and without them.

    Parameters
    ----------
    table
        Needs ``image_id``, ``group`` and ``split``.
    """
    sides, groups = table["split"].copy(), table["group"]
    # Two pairs never share a lesion, so one pass is enough.
    for pair in known_pairs_in(table).tolist():
        side = min(sides.iloc[pair], key=_FIRST.index)
        sides[groups.isin(groups.iloc[pair])] = side
    return sides
