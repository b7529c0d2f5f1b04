"""What `hambatch engines tune` measured on the user's own images, kept privately for this machine.

    $XDG_CACHE_HOME/hambatch/tuned/KEY.json

KEY is the sha256 of the engine's graphs and of the instruction set. A file holds counts, figures
and hashes of graphs: nothing of the images, nor where they lie. Whether a precision is within its
limits is judged on reading, whatever a file says.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, NamedTuple

from msgspec import Meta

from hambatch.engines.backend_names import (
    BACKEND_OF_GATES,
    BF16,
    FP32,
    INT8,
    INT8_BF16,
    LIBRARIES,
    Cheaper,
)
from hambatch.engines.manifest import Manifest, Sha256
from hambatch.engines.measurements import LIMITS, Share, Text
from hambatch.errors import InputError
from hambatch.system.cache import (
    CacheRefused,
    key_of,
    private,
    read_private,
    user_cache,
    write_private,
)
from hambatch.system.cpu import instruction_set
from hambatch.system.files import CHECKSUM, as_json, checksum_of, with_checksum
from hambatch.system.packages import library_versions
from hambatch.system.schema import convert, decode

FOLDER = "tuned"
"""In the user's cache."""

LEAST_IMAGES = 100
"""Of which a choice may be made: no label that changes among 100 says, with 95 % confidence, that
fewer than 3 in 100 do."""

MOST_DRIFT = {INT8: 0.1, INT8_BF16: 0.1, BF16: 0.05}
"""How far a probability may move from FP32's, in 99 of 100 images.

Labels alone do not show what a threshold on a probability sees: it may move far, and the label
stay. Of 300 images of ISIC 2017 and BCN20000, 99 in 100 moved by up to 0.026 with INT8, 0.033 with
INT8-BF16 and 0.014 with BF16. Of 600 images the farthest moved by 0.058, 0.060 and 0.025
(benchmarks/results/precisions.json), of others by 0.034 with BF16. So the limits are three times
what is usual, and above the farthest image that is known. A graph that answers wrongly is
beyond them: no two sentinels of the default engine are nearer than 0.42. The farthest image is not
judged, as it gets farther the more there are."""

LARGEST_FILE = 10_000
"""Bytes; a file has about 1,000."""

Count = Annotated[int, Meta(ge=0)]
Rate = Annotated[float, Meta(gt=0)]


@dataclass(frozen=True)
class Measured:
    """A cheaper precision against FP32, on the user's images.

    ``drift`` is what the probabilities of 99 of 100 images change by at most: of each image the
    largest change of one of the seven. ``largest_drift`` is that of all images.
    ``images_per_s`` is of inference alone, the median of several turns.
    """

    precision: Cheaper
    label_flips: Count
    drift: Share
    largest_drift: Share
    images_per_s: Rate


@dataclass(frozen=True)
class Tuning:
    """What was measured on ``images`` scored images, on the day ``date`` (UTC).

    ``images_per_s`` is FP32's. It holds for the ``graphs`` (sha256 by precision), the instruction
    set and the versions of the libraries that decode and compute.
    """

    date: Annotated[str, Meta(pattern=r"^\d{4}-\d\d-\d\d\Z")]
    images: Annotated[int, Meta(ge=LEAST_IMAGES)]
    images_per_s: Rate
    precisions: tuple[Measured, ...]
    graphs: dict[Text, Sha256]
    instruction_set: Text
    versions: dict[Text, Text]
    format: Literal[1] = 1

    def __post_init__(self) -> None:
        """Raise ValueError if counts or names contradict each other."""
        for one in self.precisions:
            if one.label_flips > self.images:
                raise ValueError(f"label_flips is {one.label_flips}, wanted at most its images")
        if len(self.by_name) < len(self.precisions):
            raise ValueError("precisions has one twice")

    @property
    def by_name(self) -> dict[str, Measured]:
        """What was measured of each cheaper precision."""
        return {one.precision: one for one in self.precisions}

    @property
    def rates(self) -> dict[str, float]:
        """Images/s of every precision, FP32 included."""
        return {FP32: self.images_per_s} | {
            one.precision: one.images_per_s for one in self.precisions
        }

    def is_within(self, precision: str) -> bool:
        """Judge: by the share of labels that its gate allows, and by :data:`MOST_DRIFT`."""
        one = self.by_name[precision]
        most = LIMITS[precision].label_flip_share
        return one.label_flips / self.images <= most and one.drift <= MOST_DRIFT[precision]

    def said_of(self, precision: str) -> str:
        """Say what was measured, and the limits where it is beyond them."""
        one, beyond = self.by_name[precision], not self.is_within(precision)
        most, far = 100 * LIMITS[precision].label_flip_share, MOST_DRIFT[precision]
        limits = f" (limits: {most:g} %, {far:g})" if beyond else ""
        what = f"{precision} is beyond its limits, " if beyond else ""
        return (
            f"{what}tuned on {self.images} own images, {self.date}: "
            f"{100 * one.label_flips / self.images:.1f} % of labels change, "
            f"drift {one.drift:.3f}{limits}"
        )


class Kept(NamedTuple):
    """What is kept for an engine on this machine; None with the reason if it cannot be used."""

    tuning: Tuning | None = None
    why_not: str = ""


def new_tuning(
    manifest: Manifest,
    images: int,
    images_per_s: float,
    precisions: tuple[Measured, ...],
    date: str = "",
) -> Tuning:
    """Put a measurement down for the engine's graphs and this machine; ``date``: else today."""
    today = date or datetime.now(UTC).date().isoformat()
    return Tuning(today, images, images_per_s, precisions, **_holds_for(manifest))


def kept_tuning(manifest: Manifest) -> Kept:
    """Read what is kept for this engine and machine; it never raises: a run needs none."""
    folder = user_cache(FOLDER)
    # Opening a private folder would make it.
    if folder is None or not os.path.lexists(folder / _name(manifest)):
        return Kept()
    try:
        with private(folder) as place:
            raw = decode(read_private(place, _name(manifest)), LARGEST_FILE)
        if not isinstance(raw, dict) or raw.pop(CHECKSUM, "") != checksum_of(raw):
            return Kept(why_not="the file is damaged")
        tuning = convert(raw, Tuning, exact=True)
    except (CacheRefused, ValueError) as error:
        return Kept(why_not=str(error))
    if differing := _differing(tuning, _holds_for(manifest)):
        return Kept(why_not=differing)
    return Kept(tuning)


@contextmanager
def tuning_folder() -> Iterator[int]:
    """Open the folder to write to, made if need be; InputError if nothing can be kept there."""
    folder = user_cache(FOLDER)
    step = "set XDG_CACHE_HOME to a folder of your own"
    if folder is None:
        raise InputError(
            f"the choice is kept in the user's cache, and this user has no home.\nNext: {step}"
        )
    try:
        with private(folder) as place:
            yield place
    except CacheRefused as refused:
        remedy = f"{refused.remedy}, or " if refused.remedy else ""
        raise InputError(f"no choice can be kept: {refused}.\nNext: {remedy}{step}") from refused


def keep_tuning(place: int, manifest: Manifest, tuning: Tuning) -> None:
    """Write it into the folder, in place of an earlier one; raises OSError where that fails."""
    content = as_json(with_checksum(asdict(tuning))).encode()
    write_private(place, _name(manifest), content)


def forget_tuning(manifest: Manifest) -> bool:
    """Remove what is kept for this engine and machine; False if nothing was.

    Raises InputError if the folder is not private.
    """
    folder = user_cache(FOLDER)
    if folder is None or not os.path.lexists(folder / _name(manifest)):
        return False
    with tuning_folder() as place, suppress(FileNotFoundError):
        os.unlink(_name(manifest), dir_fd=place)
        return True
    return False


def _name(manifest: Manifest) -> str:
    found = _holds_for(manifest)
    return f"{key_of({key: found[key] for key in ('graphs', 'instruction_set')})}.json"


def _holds_for(manifest: Manifest) -> dict[str, Any]:
    """Name what a measurement holds for; the instruction set names every precision's kernels."""
    graphs = {one.precision: manifest.files[one.file].sha256 for one in manifest.variants}
    versions = library_versions()
    return {
        "graphs": graphs,
        "instruction_set": instruction_set(),
        "versions": {k: versions[k] for k in LIBRARIES[BACKEND_OF_GATES] if k in versions},
    }


def _differing(tuning: Tuning, here: Mapping[str, Any]) -> str:
    """Say what is not as it was; empty if all is."""
    then, now = tuning.versions, here["versions"]
    changed = [
        f"{name} was {then.get(name, 'absent')}, is {now.get(name, 'absent')}"
        for name in sorted({**then, **now})
        if then.get(name) != now.get(name)
    ]
    if (tuning.graphs, tuning.instruction_set) != (here["graphs"], here["instruction_set"]):
        return "it is of other graphs, or of another machine"
    return "; ".join(changed)
