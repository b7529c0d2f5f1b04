"""PALETTE COLOR: each sample is the number of a colour in three tables (PS3.3, C.7.6.3.1.5)."""

import numpy as np
from numpy.typing import NDArray

from hambatch.pipelines.dicom.image import DicomImage, Palette
from hambatch.pipelines.pillow_lane import Pixels, UndecodableImage

_DISCRETE, _LINEAR, _INDIRECT = range(3)


def coloured(samples: NDArray[np.unsignedinteger], image: DicomImage) -> Pixels:
    """Give uint8 RGB ``[height, width, 3]`` for samples ``[height, width]``.

    Samples beyond either end of the tables have the colour at that end, as the standard says.
    Raises UndecodableImage if a table is not whole.
    """
    described = {one.described for one in image.palettes}
    if len(described) != 1:
        raise UndecodableImage("damaged: the palettes of the DICOM are not of one size")
    # 0 stands for 65,536, which the field does not hold.
    count, first, bits = described.pop()
    count = count or 1 << 16
    tables = [_table(one, count, bits, image.little_endian) for one in image.palettes]
    places = np.clip(samples.astype(np.int32) - first, 0, count - 1)
    return np.stack(tables, axis=-1)[places]


def _table(palette: Palette, count: int, bits: int, little_endian: bool) -> NDArray[np.uint8]:
    """Read one table, of bytes or of 16-bit numbers, which may hold 8 bits each all the same."""
    if bits not in (8, 16):
        raise UndecodableImage(f"DICOM with a palette of {bits} bits is not supported")
    stored, order = palette.stored, "<" if little_endian else ">"
    narrow = bits == 8 and (palette.segmented or len(stored) in (count, count + count % 2))
    if not narrow and len(stored) % 2:
        raise UndecodableImage("incomplete: a palette of the DICOM ends within a number")
    found = np.frombuffer(stored, np.uint8 if narrow else f"{order}u2")
    if palette.segmented:
        found = _expanded(found.tolist(), count)
    if not count <= len(found) <= count + narrow:
        raise UndecodableImage(
            f"incomplete: a palette of the DICOM has {len(found)} of {count} colours"
        )
    # The high byte: some files repeat it in the low one, others leave that 0.
    return (found >> 8 if bits == 16 else found.clip(0, 255)).astype(np.uint8)[:count]


def _expanded(numbers: list[int], count: int) -> NDArray[np.uint16]:
    """Expand a table that is stored as segments (PS3.3, C.7.9.2).

    Segments that refer to other ones are refused: in no file that was looked at are there any.
    """
    found: list[int] = []
    place = 0
    # The last number may be padding.
    while place + 1 < len(numbers) and len(found) <= count:
        kind, length = numbers[place], numbers[place + 1]
        place += 2
        if kind == _DISCRETE:
            found += numbers[place : place + length]
            place += length
        elif kind == _LINEAR and found and length and place < len(numbers):
            last, end = found[-1], numbers[place]
            found += [round(last + (end - last) * k / length) for k in range(1, length + 1)]
            place += 1
        else:
            what = "indirect segments" if kind == _INDIRECT else "damaged segments"
            raise UndecodableImage(f"DICOM with a palette of {what} is not supported")
    return np.array(found, np.uint16)
