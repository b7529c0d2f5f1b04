"""What a table must say about a folder of good and damaged files, and who says otherwise."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

import numpy as np

from hambatch.engines.classes import CLASSES
from tests.faults.soft_engine import Values

Row = dict[str, str]

TOLERANCE = 1e-3
"""Largest difference of a probability between two ways of decoding the same bytes; a
quarter of what lies between any two of the generated pictures."""


@dataclass
class Verdict:
    """Names of images by what is wrong with their rows; and, with nothing wrong, what was seen.

    Attributes
    ----------
    lost, duplicated
        Images without a row; with more than one.
    disordered
        Whether the rows are not sorted by image.
    misattributed
        Rows that are about other bytes: by hash, by content, or a good image's
        row that is not the one of a run without damaged files.
    unstable
        Damaged files whose row depends on where among the others they lie.
    identified
        Scored images that the second opinion recognises, and takes for no stranger.
    look_alike
        Scored images that it recognises, but that look like a stranger too.
    decoders_differ
        Scored images of which the second opinion thinks otherwise, and of no other one.
    """

    lost: list[str] = field(default_factory=list)
    duplicated: list[str] = field(default_factory=list)
    disordered: bool = False
    misattributed: list[str] = field(default_factory=list)
    unstable: list[str] = field(default_factory=list)
    identified: list[str] = field(default_factory=list)
    look_alike: list[str] = field(default_factory=list)
    decoders_differ: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Whether nothing is wrong."""
        wrong = (self.lost, self.duplicated, self.misattributed, self.unstable)
        return not self.disordered and not any(wrong)


def check_rows(files: Mapping[str, bytes], rows: Sequence[Row]) -> Verdict:
    """One row a file, sorted, with the hash of its bytes wherever it was read."""
    names = [row["image"] for row in rows]
    counts = Counter(names)
    strangers = [name for name in counts if name not in files]
    return Verdict(
        lost=[name for name in files if not counts[name]],
        duplicated=[name for name, count in counts.items() if count > 1],
        disordered=names != sorted(names),
        misattributed=strangers
        + [
            row["image"]
            for row in rows
            if row["image"] in files and not _hash_fits(row, files[row["image"]])
        ],
    )


def changed(rows: Mapping[str, Row], wanted: Mapping[str, Row]) -> list[str]:
    """Images of ``wanted`` whose other row differs in any column but the name."""
    return [
        name for name, row in wanted.items() if name in rows and _said(rows[name]) != _said(row)
    ]


def check_content(
    verdict: Verdict,
    rows: Mapping[str, Row],
    opinions: Mapping[str, Values],
    families: Mapping[str, frozenset[int]],
) -> None:
    """Compare scored rows with the second opinion on the same bytes; fills ``verdict``.

    Parameters
    ----------
    opinions
        By image; those that have one.
    families
        By image: the bases that it was made of. Files of one family may look
        alike, so only a row that fits a stranger's bytes is misattributed.
    """
    names = list(opinions)
    table = np.array([opinions[name] for name in names]).reshape(-1, len(CLASSES))
    for name, opinion in opinions.items():
        if name not in rows or rows[name]["status"] != "ok":
            continue
        found = np.array([float(rows[name][f"p_{c}"]) for c in CLASSES])
        near = np.flatnonzero(np.abs(table - found).max(1) <= TOLERANCE)
        stranger = any(not families[names[k]] & families[name] for k in near)
        if np.abs(found - opinion).max() <= TOLERANCE:
            (verdict.look_alike if stranger else verdict.identified).append(name)
        else:
            (verdict.misattributed if stranger else verdict.decoders_differ).append(name)


def _hash_fits(row: Row, content: bytes) -> bool:
    # A file that its decoder hung at has no hash; whatever was scored has one.
    if not row["sha256"]:
        return row["status"] == "failed"
    return row["sha256"] == sha256(content).hexdigest()


def _said(row: Row) -> Row:
    return {column: value for column, value in row.items() if column != "image"}
