"""Options of `hambatch evaluate`: what labels mean, how leaks are looked for, what is shown."""

from dataclasses import dataclass
from pathlib import Path

from hambatch.engines.classes import CLASSES
from hambatch.errors import InputError
from hambatch.system.text import excerpt

NONE = "none"
"""``engine`` for predictions of a network that is no engine."""


@dataclass(frozen=True)
class LabelOptions:
    """Where the truth has image ids, labels and lesions, and which class a label means.

    The columns are ``image_id``, ``dx`` and ``lesion_id`` unless they are named. ``map`` holds
    pairs of a label and its class, as :func:`label_and_class` reads them. Images of other classes
    and images without a label stop the command unless they are excluded.
    """

    id_column: str | None = None
    label_column: str | None = None
    lesion_column: str | None = None
    map: tuple[tuple[str, str], ...] = ()
    exclude_other_classes: bool = False
    exclude_unlabelled: bool = False


AS_HAM10000 = LabelOptions()
"""Columns and labels as in HAM10000's metadata."""


def label_and_class(text: str) -> tuple[str, str]:
    """Split ``melanoma=mel`` at its last ``=``; the class may be in any case.

    Raises InputError if the label is empty or the class is none of the seven.
    """
    label, _, name = text.rpartition("=")
    if not label.strip() or name.strip().lower() not in CLASSES:
        raise InputError(
            f"{excerpt(repr(text))} is not LABEL=CLASS with a class of {' '.join(CLASSES)}.\n"
            "Next: --map melanoma=mel, once for each label"
        )
    return label.strip(), name.strip().lower()


@dataclass(frozen=True)
class LeakOptions:
    """How evaluated images are compared with those that the engine was trained on.

    ``data`` is the split table of the training; ``engine`` made predictions that have no record;
    ``images`` are the sources of the evaluated images; with ``exclude_trained`` images that were
    trained on are left out, else they stop the command.
    """

    data: Path | None = None
    engine: str | None = None
    images: tuple[Path, ...] = ()
    exclude_trained: bool = False


DEFAULTS = LeakOptions()

GALLERY_AT_MOST = 100
"""Images of each kind of error: about 10 kB of the page each."""


@dataclass(frozen=True)
class PageOptions:
    """What the page has beside the figures.

    ``gallery``: the most images of each kind of error whose pictures are shown. Pictures of
    patients are on no page that was not to have them, so it is 0.
    """

    gallery: int = 0
