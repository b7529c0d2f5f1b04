"""What the scans of a JPEG leave out, which no decoder reports.

A progressive JPEG sends its coefficients in bands and bit by bit, each in a scan of its own; other
files send every component in its own scan. Where scans are absent, libjpeg takes their
coefficients, or the bits that would follow, for zeros, and prints nothing: the image is
coarse, grey or green. What is absent *within* a scan, as rows of blocks, makes it print a warning,
but for zeros: :mod:`hambatch.pipelines.jpeg_codes`.

The format allows an encoder to leave scans out [1]_. libjpeg and mozjpeg do not: their scan scripts
end with every bit of every coefficient.

References
----------
.. [1] ITU-T T.81, G.1.1.1: progressions; libjpeg-turbo, ``jcmaster.c``: ``validate_script``
   wants only the DC coefficients of each component.
"""

from typing import NamedTuple

from hambatch.pipelines.jpeg_codes import SEQUENTIAL, TABLES, repeats_a_symbol
from hambatch.pipelines.segments import END_OF_IMAGE, START_OF_SCAN, jpeg_segments
from hambatch.sources.content import JPEG_START

_PROGRESSIVE = 0xC2

_NO_IMAGE = "incomplete: JPEG without an image before its end marker"
_NO_END = "incomplete: JPEG without an end marker behind its pixels"

MOST_SCANS = 200
"""Usual are 1 to 20; libjpeg's own programs write 100 at most. A few bytes make a scan, and each
costs a pass over all pixels."""

_COEFFICIENTS = 64
_ABSENT = 16
"""More than the most bits that a first scan may leave to later ones."""


class Frame(NamedTuple):
    """The ids of the components, in order, and whether their coefficients come bit by bit."""

    components: bytes
    progressive: bool


class Scan(NamedTuple):
    """The components of a scan, its coefficients, and the lowest bit before it and in it."""

    components: bytes
    first: int
    last: int
    before: int
    bit: int


def lacking_scans(content: bytes) -> str:
    """Say what the scans up to the end marker leave out; empty if nothing, or for what is no JPEG.

    Takes 0.1 ms for a progressive file of 25 kB.
    """
    if not content.startswith(JPEG_START):
        return ""
    frame, scans = None, []
    try:
        for marker, place, end in jpeg_segments(content):
            if marker == START_OF_SCAN:
                scans.append(_scan(content, place))
                if len(scans) > MOST_SCANS:
                    return f"JPEG of more than {MOST_SCANS} scans is not supported"
            elif marker in SEQUENTIAL or marker == _PROGRESSIVE:
                frame = _frame(content, place, progressive=marker == _PROGRESSIVE)
            elif marker == TABLES and repeats_a_symbol(content[place + 4 : end]):
                return "damaged: a Huffman table of the JPEG holds a symbol twice"
            elif marker == END_OF_IMAGE:
                # Pillow goes on to a second image: a preview, or the other eye.
                return _lacking(frame, scans) if frame and scans else _NO_IMAGE
    except IndexError:
        pass
    return _NO_END


def too_many_scans(content: bytes) -> str:
    """Say so if the file has more scans than are decoded; looks at no more than those."""
    found = lacking_scans(content)
    return found if found.startswith("JPEG of more") else ""


def has_more_scans(content: bytes, coding: int, channels: int, first: int) -> bool:
    """Tell whether the first scan, which stands at a place, is to be followed by others."""
    return coding == _PROGRESSIVE or content[first + 4] < channels


def _frame(content: bytes, place: int, *, progressive: bool) -> Frame:
    count = content[place + 9]
    return Frame(content[place + 10 : place + 10 + 3 * count : 3], progressive)


def _scan(content: bytes, place: int) -> Scan:
    count = content[place + 4]
    end = place + 5 + 2 * count
    bits = content[end + 2]
    return Scan(content[place + 5 : end : 2], content[end], content[end + 1], bits >> 4, bits & 15)


def _lacking(frame: Frame, scans: list[Scan]) -> str:
    if len(set(frame.components)) < len(frame.components) > len(scans[0].components):
        return "JPEG of scans for components of the same name: which one is meant is unknown"
    for number, component in enumerate(frame.components, 1):
        own = [scan for scan in scans if component in scan.components]
        of_all = f"component {number} of {len(frame.components)}"
        if not own:
            return f"incomplete: JPEG without a scan of {of_all}"
        if frame.progressive and (found := _lacking_of(own)):
            return f"incomplete: progressive JPEG without {found} of {of_all}"
    return ""


def _lacking_of(scans: list[Scan]) -> str:
    """Say which coefficients of a component, or which of their bits, no scan sends."""
    lowest = [_ABSENT] * _COEFFICIENTS
    for scan in scans:
        for k in range(scan.first, min(scan.last + 1, _COEFFICIENTS)):
            # A scan that adds a bit does so to the bit before it only.
            if scan.before in (0, lowest[k]):
                lowest[k] = scan.bit
    worst = max(lowest)
    if not worst:
        return ""
    names = [str(k) for k in range(_COEFFICIENTS) if lowest[k] == worst]
    which = f"coefficients {names[0]} to {names[-1]}" if names[1:] else f"coefficient {names[0]}"
    return which if worst == _ABSENT else f"the last bits ({worst}) of {which}"
