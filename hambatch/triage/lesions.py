"""From scored images to lesions: the lowest score decides whether a lesion is missed."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from hambatch.engines.certificates import MELANOMA, Target
from hambatch.engines.classes import CLASSES
from hambatch.engines.referral import UNIT, classes_of
from hambatch.errors import InputError
from hambatch.evaluation.join import Joined
from hambatch.evaluation.tables import LESION
from hambatch.evaluation.truth import Truth
from hambatch.ham10000.leaks import KNOWN_PAIRS
from hambatch.system.text import canonical_id, excerpt


@dataclass(frozen=True)
class Lesions:
    """Scored images, and the lesions that they show.

    Attributes
    ----------
    codes
        int64 ``[images]``: 0 to n - 1, the lesion of each image.
    scores
        int64 ``[images]``, in millionths.
    positive
        bool ``[n]``: the lesion is of the target.
    """

    codes: NDArray[np.int64]
    scores: NDArray[np.int64]
    positive: NDArray[np.bool_]

    @property
    def lowest(self) -> NDArray[np.int64]:
        """int64 ``[n]``: the lowest score of each lesion."""
        found = np.full(self.positive.size, np.iinfo(np.int64).max)
        np.minimum.at(found, self.codes, self.scores)
        return found

    @property
    def highest(self) -> NDArray[np.int64]:
        """int64 ``[n]``: the highest score of each lesion."""
        found = np.full(self.positive.size, np.iinfo(np.int64).min)
        np.maximum.at(found, self.codes, self.scores)
        return found


def lesions_of(joined: Joined, target: Target) -> Lesions:
    """Put the scored images of a lesion together.

    An image without a lesion_id is a lesion of its own. Images of the same bytes are of one lesion,
    and so are the pairs that HAM10000 lists under two ids: a copy proves nothing that its original
    did not.

    Raises InputError if some images of one lesion are of the target, and others are not.
    """
    codes = linked(
        pd.Series(joined.groups), joined.images["sha256"], joined.images["file_id"].map(_pair_of)
    )
    of_image = np.isin(joined.truth, [CLASSES.index(name) for name in classes_of(target)])
    size = int(codes.max()) + 1
    some, all_of = np.zeros(size, bool), np.ones(size, bool)
    np.logical_or.at(some, codes, of_image)
    np.logical_and.at(all_of, codes, of_image)
    if (some != all_of).any():
        raise _contradicting(joined, codes == int((some != all_of).argmax()), target)
    melanoma = joined.probabilities[:, CLASSES.index("mel")]
    scores = melanoma if target == MELANOMA else joined.p_malignant
    return Lesions(codes, np.rint(scores * UNIT).astype(np.int64), some)


def linked(*keys: pd.Series) -> NDArray[np.int64]:
    """Number the sets of images that share a key, directly or by way of others: int64 ``[n]``.

    ``keys``: texts of the n images, each. An empty one joins nothing.
    """
    images = len(keys[0])
    rows, columns, nodes = [], [], images
    for key in keys:
        codes, names = pd.factorize(key)
        known = (key != "").to_numpy(bool)
        rows.append(np.flatnonzero(known))
        columns.append(codes[known] + nodes)
        nodes += len(names)
    ends = np.concatenate(rows), np.concatenate(columns)
    graph = coo_array((np.ones(ends[0].size, np.int8), ends), shape=(nodes, nodes))
    _, found = connected_components(graph, directed=False)
    codes = np.unique(found[:images], return_inverse=True)[1]
    return codes.astype(np.int64)


_PAIRS = {canonical_id(name): canonical_id(pair[0]) for pair in KNOWN_PAIRS for name in pair}


def _pair_of(file_id: str) -> str:
    return _PAIRS.get(file_id, "")


def not_scored(truth: Truth, joined: Joined, target: Target) -> int:
    """Count the target's lesions of which no image has a score; it failed, or has no row."""
    rows = truth.rows
    known = rows[LESION] if LESION in rows.columns else rows["image_id"]
    names = known.mask(known == "", rows["image_id"])
    scored = set(names[rows["image_id"].isin(set(joined.images["truth_id"]))])
    wanted = rows["dx"].isin(classes_of(target))
    return len(set(names[wanted]) - scored)


def _contradicting(joined: Joined, chosen: NDArray[np.bool_], target: Target) -> InputError:
    images = joined.images[chosen]
    named = ", ".join(f"{row.truth_id} {row.dx}" for row in images.head(5).itertuples())
    return InputError(
        f"found a lesion ({excerpt(str(joined.groups[chosen][0]))}) whose images are of different "
        f"diagnoses ({named}), some {target} and some not; wanted one truth for a lesion, and for "
        "images of the same bytes.\nNext: correct the truth"
    )
