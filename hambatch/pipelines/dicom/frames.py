"""Which bytes of a DICOM's pixels are one frame, and whether all of them are there.

An encapsulated frame lies in one or more fragments. An offset table, the basic or the extended
one, says where each frame begins. Without either, a frame is a fragment, or ends where a codestream
does.
"""

import struct
from collections.abc import Sequence
from functools import lru_cache

from hambatch.pipelines.dicom.elements import refusing
from hambatch.pipelines.dicom.image import DicomImage
from hambatch.pipelines.dicom.syntaxes import NATIVE, RLE
from hambatch.pipelines.pillow_lane import UndecodableImage

_END_OF_IMAGE = b"\xff\xd9"
_STARTS = (b"\xff\xd8\xff", b"\xff\x4f\xff\x51")
"""How a JPEG of any kind begins, and a codestream of JPEG 2000."""

_TAIL = 10
"""Bytes at the end of a fragment in which padding may follow the end of a codestream."""

Fragments = Sequence[bytes]


def place_of(image: DicomImage, frame: int) -> int:
    """Give the place of the wanted frame, from 0: ``frame`` counts from 1, and 0 is the only one.

    Raises UndecodableImage if there is no such frame, or more than one.
    """
    if not frame and image.frames > 1:
        raise UndecodableImage(
            f"DICOM of {image.frames} frames: which one is meant is unknown; name it as in "
            "x.dcm!/frame-0001, or rename the file to .dcm to score each frame"
        )
    if frame > image.frames:
        raise UndecodableImage(f"DICOM of {image.frames} frames has no frame {frame}")
    return max(frame - 1, 0)


def encoded_frame(image: DicomImage, frame: int) -> bytes:
    """Give an encapsulated frame without its padding.

    Raises UndecodableImage if it is not whole.
    """
    place = place_of(image, frame)
    # For the frames of one file, whose pixels are one object, they are told apart once.
    tables = image.offsets, image.lengths
    found = (_told_apart if frame else _told_apart.__wrapped__)(image.pixels, *tables, image.frames)
    if isinstance(found, UndecodableImage):
        raise UndecodableImage(str(found))
    count = len(found) + len(_by_ends(found[place])) - 1 if place < len(found) else len(found)
    if count != image.frames or not all(found):
        what = "incomplete" if count < image.frames else "damaged"
        raise UndecodableImage(
            f"{what}: the DICOM holds {count} frames, its header says {image.frames}"
        )
    own = b"".join(found[place])
    return own if image.syntax in RLE else _unpadded(own)


@lru_cache(maxsize=1)
def _told_apart(
    pixels: bytes, offset_table: bytes, lengths: bytes, frames: int
) -> list[Fragments] | UndecodableImage:
    """Give the fragments of each frame, or why that cannot be done."""
    try:
        with refusing("damaged: the frames of the DICOM cannot be told apart"):
            offsets, starts, fragments = _fragments(pixels)
            if offset_table:
                return _by_extended(offset_table, lengths, starts, fragments)
            if offsets:
                return _by_offsets(offsets, starts, fragments)
            # Where some fragments only go on with a frame, others are absent.
            begins = {one.startswith(_STARTS) for one in fragments}
            alone = len(fragments) == frames and len(begins) == 1
            return [[one] for one in fragments] if alone else _by_ends(fragments)
    except UndecodableImage as error:
        return UndecodableImage(str(error))


def check_native(image: DicomImage) -> None:
    """Raise UndecodableImage unless uncompressed pixels are as many bytes as the header says."""
    if image.syntax not in NATIVE:
        return
    if image.photometric == "YBR_FULL_422":
        if image.columns % 2:
            raise UndecodableImage("damaged: DICOM in YBR_FULL_422 of an odd number of columns")
        a_pixel = 2
    else:
        a_pixel = image.samples
    wanted = image.frames * image.rows * image.columns * a_pixel * (image.allocated // 8)
    found = len(image.pixels)
    if found not in (wanted, wanted + wanted % 2):
        what = "incomplete" if found < wanted else "damaged"
        raise UndecodableImage(f"{what}: {found} of {wanted} bytes of pixels of the DICOM")


def _fragments(pixels: bytes) -> tuple[list[int], list[int], list[bytes]]:
    """Give the basic offset table, where the item of each fragment begins, and the fragments."""
    from pydicom.encaps import parse_basic_offsets, parse_fragments

    offsets = parse_basic_offsets(pixels)
    first = 8 + int.from_bytes(pixels[4:8], "little")
    rest = pixels[first:]
    _, starts = parse_fragments(rest)
    ends = [*starts[1:], len(rest)]
    fragments = []
    for start, end in zip(starts, ends, strict=True):
        length = int.from_bytes(rest[start + 4 : start + 8], "little")
        if start + 8 + length != end:
            raise UndecodableImage("incomplete: a fragment of the DICOM's pixels is not whole")
        fragments.append(rest[start + 8 : end])
    return offsets, starts, fragments


def _by_extended(
    offset_table: bytes, length_table: bytes, starts: list[int], fragments: Fragments
) -> list[Fragments]:
    """Each frame is one fragment, of the length that a second table states."""
    count = len(offset_table) // 8
    offsets = struct.unpack(f"<{count}Q", offset_table)
    lengths = struct.unpack(f"<{count}Q", length_table)
    if sorted(offsets) != starts:
        raise UndecodableImage("damaged: the offset table of the DICOM names not each frame once")
    own = dict(zip(starts, fragments, strict=True))
    found = [own[offset] for offset in offsets]
    if any(
        not length <= len(one) <= length + 1 for one, length in zip(found, lengths, strict=True)
    ):
        raise UndecodableImage("damaged: a frame of the DICOM is not as long as its table says")
    return [[one[:length]] for one, length in zip(found, lengths, strict=True)]


def _by_offsets(offsets: list[int], starts: list[int], fragments: Fragments) -> list[Fragments]:
    places = {start: place for place, start in enumerate(starts)}
    firsts = [places[offset] for offset in offsets]
    if firsts[0] or sorted(set(firsts)) != firsts:
        raise UndecodableImage("damaged: the offset table of the DICOM is not in order")
    return [fragments[one:end] for one, end in zip(firsts, [*firsts[1:], None], strict=True)]


def _by_ends(fragments: Fragments) -> list[Fragments]:
    """Let a frame end where a codestream does and the next one begins."""
    found: list[list[bytes]] = [[]]
    for one, after in zip(fragments, [*fragments[1:], b""], strict=True):
        found[-1].append(one)
        if after.startswith(_STARTS) and _END_OF_IMAGE in one[-_TAIL:]:
            found.append([])
    return list(found)


def _unpadded(codestream: bytes) -> bytes:
    """Cut off what follows the end marker to make the length even: a byte, or some zeros."""
    tail = codestream[-_TAIL:]
    padding = tail[tail.rfind(_END_OF_IMAGE) + 2 :] if _END_OF_IMAGE in tail else b""
    if len(padding) == 1 or not any(padding):
        return codestream[: len(codestream) - len(padding)]
    return codestream
