"""Whether frames in RLE, lossless JPEG and JPEG-LS are whole: not all their decoders look."""

import struct

from hambatch.pipelines.dicom.image import DicomImage
from hambatch.pipelines.dicom.syntaxes import JPEG_LOSSLESS
from hambatch.pipelines.jpeg_codes import TABLES, tables_of
from hambatch.pipelines.pillow_lane import UndecodableImage
from hambatch.pipelines.segments import END_OF_IMAGE, START_OF_SCAN, jpeg_segments

_LOSSLESS, _LS = 0xC3, 0xF7
_HOLE = bytes(64)


def check_rle(frame: bytes, image: DicomImage) -> None:
    """Raise UndecodableImage unless each segment gives exactly the bytes of one plane.

    An encoder ends a run at the end of a row (PS3.5, G.3.1); some never do. Where most rows end
    with a run, and one does not, bytes are absent. What a segment would give is counted before it
    is decoded: a run makes 128 bytes of two.
    """
    count = int.from_bytes(frame[:4], "little")
    if count != image.samples * (image.allocated // 8):
        raise UndecodableImage(f"damaged: RLE of {count} segments")
    starts = struct.unpack_from("<15I", frame.ljust(64, b"\0"), 4)[:count]
    ends = [*starts[1:], len(frame)]
    for start, end in zip(starts, ends, strict=True):
        if not 64 <= start < end <= len(frame):
            raise UndecodableImage("incomplete: a segment of the RLE is absent")
        if reason := _lacking_of_segment(frame[start:end], image.rows, image.columns):
            raise UndecodableImage(reason)


def _lacking_of_segment(segment: bytes, rows: int, columns: int) -> str:
    place, found, wanted, ended, zeros = 0, 0, rows * columns, 0, 0
    while place < len(segment) and found < wanted:
        code = segment[place]
        # One byte as it is, a zero, over and over: there are shorter ways to say that.
        zeros = 0 if code or any(segment[place + 1 : place + 2]) else zeros + 1
        if zeros > len(_HOLE) // 2:
            return "damaged: zero bytes stand where pixels should be"
        if code < 128:
            found += code + 1
            place += code + 2
        else:
            found += 257 - code if code > 128 else 0
            place += 2 if code > 128 else 1
        ended += found % columns == 0
    # A byte makes the length even, some encoders write two.
    if found != wanted or place > len(segment) or any(segment[place + 2 :]):
        return "incomplete: a segment of the RLE does not give the pixels of the image"
    return "incomplete: a row of the RLE is not whole" if rows / 2 < ended < rows else ""


def check_jpeg(frame: bytes, image: DicomImage) -> None:
    """Raise UndecodableImage unless a lossless JPEG, or a JPEG-LS, is what the header says.

    What is absent within its scans makes their decoders refuse the frame, or print a warning, but
    for scans and zeros in a lossless JPEG.
    """
    if not frame.endswith(b"\xff\xd9"):
        raise UndecodableImage("incomplete: JPEG without an end marker behind its pixels")
    try:
        reason = _misfit(frame, image)
        reason = reason or (_lacking_of_lossless(frame) if image.syntax in JPEG_LOSSLESS else "")
    except (struct.error, IndexError):
        reason = "incomplete: the header of the JPEG is not whole"
    if reason:
        raise UndecodableImage(reason)


def _misfit(frame: bytes, image: DicomImage) -> str:
    wanted = _LOSSLESS if image.syntax in JPEG_LOSSLESS else _LS
    for marker, place, _ in jpeg_segments(frame):
        if marker == START_OF_SCAN:
            break
        if marker == wanted:
            bits, height, width, count = struct.unpack_from(">BHHB", frame, place + 4)
            found, said = (width, height), (image.columns, image.rows)
            if found != said:
                return f"damaged: the DICOM says {_size(said)} pixels, its JPEG {_size(found)}"
            if (count, bits) != (image.samples, image.stored):
                said = image.samples, image.stored
                return f"damaged: the DICOM says {_bits(said)}, its JPEG {_bits((count, bits))}"
            return ""
    return "damaged: the pixels of the DICOM are not in its transfer syntax"


def _lacking_of_lossless(frame: bytes) -> str:
    components, scanned, first = b"", set[int](), dict[int, int]()
    start, zeros_mean = 0, 0
    for marker, place, end in jpeg_segments(frame):
        if zeros_mean and frame.find(_HOLE, start, place) >= 0:
            return "damaged: zero bytes stand where pixels should be"
        zeros_mean = 0
        if marker == END_OF_IMAGE:
            absent = len(set(components) - scanned)
            return f"incomplete: JPEG without {absent} of its components" if absent else ""
        if marker == _LOSSLESS:
            components = frame[place + 10 : place + 10 + 3 * frame[place + 9] : 3]
        elif marker == TABLES:
            first |= {name: own[0] for name, own in tables_of(frame[place + 4 : end]) if own}
        elif marker == START_OF_SCAN:
            last = place + 5 + 2 * frame[place + 4]
            scanned |= set(frame[place + 5 : last : 2])
            # The difference to the pixel before that zeros stand for: an area of one colour is 0.
            zeros_mean = max(first.get(table >> 4, 0) for table in frame[place + 6 : last : 2])
            start = end
    return "incomplete: JPEG without an end marker behind its pixels"


def _size(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"


def _bits(found: tuple[int, int]) -> str:
    return f"{found[0]} samples of {found[1]} bits"
