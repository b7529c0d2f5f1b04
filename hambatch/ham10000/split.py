"""Splits that keep a lesion on one side and every class on all sides.

HAM10000 holds several photographs of some lesions [1]_, so a split by image
leaks. Whatever must stay together is a *group*: a lesion, or several lesions
that share a byte-identical photograph.

References
----------
.. [1] Tschandl et al., Sci. Data 5:180161 (2018), doi:10.1038/sdata.2018.161
"""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import DisjointSet

from hambatch.engines.classes import HELD_APART, SPLITS
from hambatch.errors import InputError


def assign_splits(
    groups: Sequence[str],
    dx: Sequence[str],
    *,
    val_fraction: float,
    test_fraction: float,
    gate_fraction: float = 0.0,
    certify_fraction: float = 0.0,
    seed: int,
) -> NDArray[np.str_]:
    """Give every image a part: ``train``, ``val`` or ``test``; by group, stratified by class.

    ``gate`` and ``certify`` are taken out of ``train``: the other parts are the same without them.

    Parameters
    ----------
    groups
        One group id per image, length N, from :func:`group_lesions`.
    dx
        One class per image, length N; the same throughout a group.
    val_fraction, test_fraction
        Share of each class's *groups* held out, 0 < f < 1; train keeps the rest.
    gate_fraction, certify_fraction
        The same for two more parts; 0: no such part.
    seed
        The same seed gives the same split, whatever the order of the rows.

    Raises InputError if the fractions leave nothing to train on.
    """
    apart = gate_fraction, certify_fraction
    train_fraction = 1 - val_fraction - test_fraction
    left = train_fraction - sum(apart)
    if min(val_fraction, test_fraction) <= 0 or min(apart) < 0 or left < 1e-9:
        raise InputError(
            f"found val fraction {val_fraction} and test fraction {test_fraction}, gate "
            f"{gate_fraction} and certify {certify_fraction}; "
            "wanted the first two above 0 and the sum of all below 1.\n"
            "Next: hambatch prepare HAM10000_DIR --out split.csv "
            "--val-fraction 0.15 --test-fraction 0.15"
        )
    sides = _share_out(groups, dx, (train_fraction, val_fraction, test_fraction), seed)
    parts = np.array(SPLITS).astype(object)[sides]
    wanted = {"train": left} | {
        name: share for name, share in zip(HELD_APART, apart, strict=True) if share
    }
    if len(wanted) > 1:
        rows = np.flatnonzero(parts == "train").tolist()
        shares = [share / train_fraction for share in wanted.values()]
        among = [groups[k] for k in rows], [dx[k] for k in rows]
        parts[rows] = np.array(list(wanted))[_share_out(*among, shares, seed)]
    return parts.astype(np.str_)


def assign_folds(
    lesion_ids: Sequence[str], dx: Sequence[str], folds: int, seed: int
) -> NDArray[np.int64]:
    """Give every image the fold in which it is validated, by lesion, stratified by class.

    ``lesion_ids`` (or groups) and ``dx`` are as in :func:`assign_splits`. Raises ValueError if
    there are fewer than 2 folds, or a lesion has several classes.

    Returns
    -------
    int64 ``[N]``, values 0 to ``folds - 1``; the folds of a class differ by at most one lesion.
    """
    if folds < 2:
        raise ValueError(f"found {folds} folds, wanted at least 2")
    return _share_out(lesion_ids, dx, (1 / folds,) * folds, seed)


def group_lesions(lesion_ids: Sequence[str], sha256: Sequence[str]) -> list[str]:
    """Join lesions that share identical bytes; returns one group id an image."""
    first_with: dict[str, str] = {}
    links = [
        (lesion, first_with.setdefault(digest, lesion))
        for lesion, digest in zip(lesion_ids, sha256, strict=True)
    ]
    return join_groups(lesion_ids, links)


def join_groups(groups: Sequence[str], links: Iterable[tuple[str, str]]) -> list[str]:
    """Join groups that are linked, directly or through a third.

    Returns
    -------
    One group id per image: the first, in sorting order, of those that were joined.
    """
    joined = DisjointSet(groups)
    for link in links:
        joined.merge(*link)
    first = {group: min(members) for members in joined.subsets() for group in members}
    return [first[group] for group in groups]


def _share_out(
    groups: Sequence[str], dx: Sequence[str], fractions: Sequence[float], seed: int
) -> NDArray[np.int64]:
    """Shuffle each class's sorted groups and cut them by the fractions; int64 ``[N]``."""
    class_of: dict[str, str] = {}
    for group, name in zip(groups, dx, strict=True):
        if class_of.setdefault(group, name) != name:
            raise ValueError(f"lesion {group} has dx {class_of[group]} and {name}, wanted one")
    side_of: dict[str, int] = {}
    rng = np.random.default_rng(seed)
    for name in sorted(set(class_of.values())):
        members = sorted(group for group in class_of if class_of[group] == name)
        sides = np.repeat(np.arange(len(fractions)), _counts(len(members), fractions))
        side_of.update(zip(rng.permutation(members).tolist(), sides.tolist(), strict=True))
    return np.array([side_of[group] for group in groups], np.int64)


def _counts(total: int, fractions: Sequence[float]) -> NDArray[np.int64]:
    """Largest remainders; then no side stays empty while another has two to spare."""
    ideal = total * np.array(fractions)
    counts = np.floor(ideal + 1e-9).astype(np.int64)
    order = np.argsort(counts - ideal, kind="stable")
    counts[order[: total - counts.sum()]] += 1
    for side in np.flatnonzero(counts == 0):
        if counts.max() > 1:
            counts[counts.argmax()] -= 1
            counts[side] += 1
    return counts
