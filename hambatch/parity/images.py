"""The images that every path is given: some of the folder, spread evenly over its listing."""

import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hambatch.batches import Row
from hambatch.errors import InputError
from hambatch.names import encode_name
from hambatch.sources.listing import list_images

NEXT = "hambatch samples ./samples, then hambatch parity ./samples"


@dataclass(frozen=True)
class Taken:
    """Names of images, of how many there are in the folder."""

    names: tuple[str, ...]
    listed: int


@dataclass(frozen=True)
class Scorable:
    """Rows of the images that can be scored, and how many cannot, by reason."""

    rows: tuple[Row, ...]
    left_out: Counter[str]

    @property
    def names(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(row.image for row in self.rows)


def take_images(source: Path, count: int) -> Taken:
    """Take every n-th image, so that a folder sorted by class is not judged by one of them.

    Raises
    ------
    InputError
        If ``source`` is missing, no folder, or holds no image.
    """
    with tempfile.TemporaryDirectory(prefix="hambatch-") as place:
        listing = list_images(source, Path(place) / "listing")
        taken = min(count, listing.count)
        places = {k * listing.count // taken for k in range(taken)}
        names = tuple(name for k, name in enumerate(listing) if k in places)
    return Taken(names, listing.count)


def scorable(rows: Sequence[Row], source: Path) -> Scorable:
    """Leave out what the reference could not score: a bad image tells nothing of a path.

    Raises
    ------
    InputError
        If no image is left.
    """
    good = tuple(row for row in rows if row.status == "ok")
    reasons = Counter(encode_name(row.reason) for row in rows if row.status != "ok")
    if not good:
        ((reason, _),) = reasons.most_common(1)
        raise InputError(
            f"none of the {len(rows)} images taken of {encode_name(str(source))} can be scored: "
            f"{reason}.\nNext: name a folder of intact images, or {NEXT}"
        )
    return Scorable(good, reasons)
