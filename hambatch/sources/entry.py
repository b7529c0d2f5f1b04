"""One image of a listing: its name, and where its bytes lie; and how a line says both.

A line is ``name``, or ``name<TAB>place``, or ``name<TAB>place<TAB>carried``. Without a place, the
name is the path below the only source. A place is one of::

    S                   below source number S, by the rest of the name
    S=PATH              below source number S, at another path than the name says
    S,CUT,METHOD,OFFSET,STORED,SIZE,HEAD,CRC
                        a member of an archive, whose path is the first CUT characters of the name
    S,CUT@FRAME         a frame of the DICOM file whose path is the first CUT characters
    S!REASON            it cannot be scored, and why; or S,CUT!REASON

``@FRAME`` may follow a member, too.

Names, paths and reasons are percent-encoded as in the output. ``carried`` is a JSON list: the
sha256 that a manifest states, and the manifest's other cells.
"""

import json
import re
from dataclasses import dataclass, replace

from hambatch.sources.archives.member import Member, Method
from hambatch.system.text import decode_name, encode_name

Cells = tuple[str | None, ...]

_MARK = re.compile("[!=]")


@dataclass(frozen=True, slots=True)
class Entry:
    """An image of a listing.

    Attributes
    ----------
    name
        Encoded, as in the output.
    source
        Number of its source among those of the command line.
    path
        Of the file below the source, with surrogate escapes, where the name does not say it.
    cut
        How many characters of ``name`` name the archive that it is a member of, or the DICOM file
        that it is a frame of; 0: the name is the file's.
    member
        Where in the archive its bytes lie.
    problem
        Why it cannot be scored, in a line; empty for what is read.
    sha256
        What the bytes have to hash to; empty: anything.
    frame
        Number of a frame of a DICOM file of several, from 1; 0 for a file that is one image.
    carried
        Cells of a manifest that go to the output.
    """

    name: str
    source: int = 0
    path: str = ""
    cut: int = 0
    member: Member | None = None
    problem: str = ""
    sha256: str = ""
    carried: Cells = ()
    frame: int = 0

    def place(self, *, alone: bool) -> str:
        """Write where it lies; ``alone``: nothing for a file of the only source."""
        number = f"{self.source},{self.cut}" if self.cut else f"{self.source}"
        if self.problem:
            return f"{number}!{encode_name(self.problem)}"
        if self.member:
            m = self.member
            crc32 = "" if m.crc32 is None else f"{m.crc32:x}"
            where = f"{number},{m.method:d},{m.offset},{m.stored},{m.size},{m.head:x},{crc32}"
            return f"{where}@{self.frame}" if self.frame else where
        if self.frame:
            return f"{number}@{self.frame}"
        if self.path:
            return f"{number}={encode_name(self.path)}"
        return "" if alone else number

    @property
    def is_member(self) -> bool:
        """Whether it lies in an archive, or is what an archive cannot give."""
        return bool(self.cut and (self.member or not self.frame))

    def cells(self) -> str:
        """Write what a manifest says of it; empty if there is nothing."""
        return json.dumps([self.sha256, *self.carried]) if self.sha256 or self.carried else ""


def frame_name(name: str, frame: int, frames: int) -> str:
    """Name a frame of a DICOM file of several; names of one file sort in their order.

    >>> frame_name("a.dcm", 3, 12), frame_name("a.dcm", 3, 10_000)
    ('a.dcm!/frame-0003', 'a.dcm!/frame-00003')
    """
    return f"{name}!/frame-{frame:0{max(4, len(str(frames)))}}"


def entry_of(name: str, place: str = "", cells: str = "") -> Entry:
    """Read the parts of a line back; raises ValueError if no listing writes such a one."""
    entry = _placed(name, place)
    if not cells:
        return entry
    sha256, *carried = json.loads(cells)
    return replace(entry, sha256=sha256, carried=tuple(carried))


def _placed(name: str, place: str) -> Entry:
    if not place:
        return Entry(name)
    # The first one counts: a path or a reason may hold the other.
    if mark := _MARK.search(place):
        number, _, cut = place[: mark.start()].partition(",")
        text = decode_name(place[mark.end() :])
        if mark[0] == "!":
            return Entry(name, int(number), cut=int(cut or 0), problem=text)
        return Entry(name, int(number), text)
    where, _, frame = place.partition("@")
    number, *rest = where.split(",")
    cut = rest.pop(0) if rest else "0"
    member = _member(rest) if rest else None
    return Entry(name, int(number), cut=int(cut), member=member, frame=int(frame or 0))


def _member(parts: list[str]) -> Member:
    method, offset, stored, size, head, crc32 = parts
    checked = int(crc32, 16) if crc32 else None
    numbers = int(offset), int(stored), int(size), int(head, 16)
    return Member(Method(int(method)), *numbers, checked)
