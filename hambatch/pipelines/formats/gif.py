"""GIF: a screen, palettes and frames, of which the first one is scored [1]_.

References
----------
.. [1] https://www.w3.org/Graphics/GIF/spec-gif89a.txt
"""

import struct
from typing import NamedTuple

from hambatch.pipelines.colour_profile import UnusableProfile
from hambatch.pipelines.formats.lzw import BrokenCodes, counted
from hambatch.pipelines.formats.stated import Parts, Stated, Unreadable, hole_in

_SCREEN_END = 13
_EXTENSION, _FRAME, _END = 0x21, 0x2C, 0x3B
_APPLICATION, _ICC = 0xFF, b"ICCRGBG1012"


class _Gif(NamedTuple):
    """The screen, the first frame's place and size, its palette, and its pixels.

    ``data`` is where its compressed pixels begin, 0 if there is no frame; ``ended`` whether the
    mark of the end follows all frames.
    """

    screen: tuple[int, int]
    corner: tuple[int, int] = (0, 0)
    size: tuple[int, int] = (0, 0)
    colours: int = 0
    data: int = 0
    ended: bool = False


def _read(content: bytes) -> _Gif:
    width, height, flags = struct.unpack_from("<HHB", content, 6)
    found = _Gif((width, height))
    place, global_colours = _behind_palette(_SCREEN_END, flags)
    try:
        while True:
            mark = content[place]
            if mark == _END:
                return found._replace(ended=True)
            if mark == _EXTENSION:
                place = _behind_blocks(content, place + 2)
            elif mark == _FRAME:
                left, top, width, height, flags = struct.unpack_from("<HHHHB", content, place + 1)
                place, colours = _behind_palette(place + 10, flags)
                if not found.data:
                    said = (left, top), (width, height), colours or global_colours, place
                    found = _Gif(found.screen, *said)
                place = _behind_blocks(content, place + 1)
            else:
                return found
    except (IndexError, struct.error):
        return found


def _behind_palette(place: int, flags: int) -> tuple[int, int]:
    colours = 2 << (flags & 7) if flags & 0x80 else 0
    return place + 3 * colours, colours


def _behind_blocks(content: bytes, place: int) -> int:
    while content[place]:
        place += 1 + content[place]
    return place + 1


def _joined(content: bytes, place: int) -> bytes:
    """Give what the blocks from a place on hold, as far as there are any."""
    parts = []
    while place < len(content) and content[place]:
        parts.append(content[place + 1 : place + 1 + content[place]])
        place += 1 + content[place]
    return b"".join(parts)


def _stated(content: bytes) -> Stated:
    gif = _read(content)
    if not gif.data:
        raise Unreadable("incomplete: GIF without a frame")
    problem = ""
    if gif.corner != (0, 0) or gif.size != gif.screen:
        width, height = gif.size
        problem = f"GIF whose first frame covers {width} x {height} of "
        problem += f"{gif.screen[0]} x {gif.screen[1]} pixels, from {gif.corner} on"
    # Larger than both: that is what a decoder takes memory for.
    width = max(gif.screen[0], gif.corner[0] + gif.size[0])
    return Stated(width, max(gif.screen[1], gif.corner[1] + gif.size[1]), problem)


def colours_of(content: bytes) -> int:
    """Give how many colours the palette of the first frame has."""
    return _read(content).colours


def _lacking(content: bytes) -> str:
    gif = _read(content)
    if not gif.ended:
        return "incomplete: GIF without the mark of its end"
    if not gif.colours:
        return "incomplete: GIF without a palette"
    bits = content[gif.data]
    if not 1 <= bits <= 8:
        return f"damaged: the pixels of the GIF have {bits} bits"
    data, asked = _joined(content, gif.data + 1), gif.size[0] * gif.size[1]
    try:
        found, ended = counted(data, bits, asked, tiff=False)
    except BrokenCodes as error:
        return f"damaged: the pixels of the GIF cannot be read: {error}"
    if found != asked:
        return f"incomplete: the file holds {found} of {asked} pixels of the GIF's first frame"
    if not ended:
        return "incomplete: the end of the GIF's compressed pixels is missing"
    return hole_in(data, 0, len(data), "GIF")


def _profile(content: bytes) -> bytes:
    _, place = 0, _behind_palette(_SCREEN_END, content[10])[0]
    while content[place] == _EXTENSION:
        is_icc = content[place + 1] == _APPLICATION and content.startswith(_ICC, place + 3)
        if is_icc:
            profile = _joined(content, place + 3 + content[place + 2])
            if len(profile) < int.from_bytes(profile[:4]):
                raise UnusableProfile("colour profile is not whole; its colours are unknown")
            return profile
        place = _behind_blocks(content, place + 2)
    return b""


GIF = Parts(_stated, _lacking, _profile)
