"""What a hostile archive is, and names that lead out of it."""

from dataclasses import dataclass, field

import numpy as np

Rng = np.random.Generator


@dataclass(frozen=True)
class Edited:
    """A hostile archive.

    Attributes
    ----------
    touched
        Members whose rows may be failed ones; all others have to be scored, unless
        ``any_may_fail``.
    never
        Members that have to be failed rows: two readings of them are possible.
    also
        Bytes that a row may be about, by name, beside those of the honest members.
    gone
        Members that are none any more, and need no row.
    """

    content: bytes
    touched: frozenset[str] = frozenset()
    never: frozenset[str] = frozenset()
    also: dict[str, tuple[bytes, ...]] = field(default_factory=dict)
    gone: frozenset[str] = frozenset()
    any_may_fail: bool = False


ESCAPES = (
    "../escaped.jpg",
    "../../../../tmp/escaped.jpg",
    "/tmp/escaped.jpg",  # noqa: S108
    "a/../../escaped.jpg",
    "C:\\escaped.jpg",
    "..\\escaped.jpg",
    "line\nend\t.jpg",
    "=cmd|' /C calc'!A0.jpg",
    "in!/side.jpg",
    "#2.jpg",
    "%2e%2e%2fescaped.jpg",
    "\udcff\udcfe.jpg",
    "x" * 3000 + ".jpg",
    "\x1b[31mred.jpg",
    'a,b;"c".jpg',
)
"""Names that lead out of a folder, or that no file system has."""


def escaping(rng: Rng) -> str:
    """A name that leads out of a folder, or that no file system has."""
    return ESCAPES[int(rng.integers(len(ESCAPES)))]
