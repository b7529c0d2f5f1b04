"""Where the parts of a JPEG lie: enough of ITU-T T.81 Annex B to damage it on purpose."""

from collections.abc import Collection
from dataclasses import dataclass

SOI, EOI = b"\xff\xd8", b"\xff\xd9"
DHT, DQT, DRI, SOS, APP1 = 0xC4, 0xDB, 0xDD, 0xDA, 0xE1
SOF = frozenset(range(0xC0, 0xD0)) - {DHT, 0xC8, 0xCC}


@dataclass(frozen=True)
class Segment:
    """A marker segment: ``content[start:end]``, the marker's 0xFF first, then its length."""

    marker: int
    start: int
    end: int

    @property
    def payload(self) -> int:
        """Where its first byte after the length is."""
        return self.start + 4


def header_segments(content: bytes) -> list[Segment]:
    """Segments from SOI to the first scan header, which is the last of them.

    Raises
    ------
    ValueError
        If the bytes are no JPEG with a scan.
    """
    found, at = [], len(SOI)
    while at + 4 <= len(content) and content.startswith(SOI) and content[at] == 0xFF:
        end = at + 2 + int.from_bytes(content[at + 2 : at + 4])
        found.append(Segment(content[at + 1], at, end))
        if content[at + 1] == SOS:
            return found
        at = end
    raise ValueError("no JPEG with a scan")


def only(content: bytes, markers: Collection[int]) -> list[Segment]:
    """Header segments with one of these markers."""
    return [part for part in header_segments(content) if part.marker in markers]


def scan_start(content: bytes) -> int:
    """Where the first scan's entropy-coded data begin."""
    return header_segments(content)[-1].end


def can_be_damaged(content: bytes) -> bool:
    """Tell whether it is a whole JPEG, whose parts can be found."""
    try:
        start = scan_start(content)
    except ValueError:
        return False
    return content.endswith(EOI) and len(content) - start > 64
