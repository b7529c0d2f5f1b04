"""PNGs that lack one part, and are in order otherwise: checksums, lengths and end are right.

Functions as in ``jpeg_absences``.
"""

import struct
import zlib
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

Rng = np.random.Generator
Lacking = tuple[str, bytes] | None

START = b"\x89PNG\r\n\x1a\n"
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2)]
ADAM7 += [(0, 1, 1, 2)]
"""Of each pass: first column, first row, step of columns, step of rows."""


@dataclass(frozen=True)
class Parts:
    """A PNG taken apart: its chunks but for the pixels, and the pixels, not inflated."""

    chunks: list[tuple[bytes, bytes]]
    pixels: list[bytes]

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        width, height = struct.unpack_from(">II", self.chunks[0][1])
        return width, height

    @property
    def interlaced(self) -> bool:
        """Whether its pixels come in seven passes."""
        return bool(self.chunks[0][1][12])

    def row_bytes(self, width: int) -> int:
        """Bytes of a row of so many pixels, its filter among them."""
        bits, colour = self.chunks[0][1][8:10]
        return 1 + (width * bits * CHANNELS[colour] + 7) // 8 if width else 0

    def passes(self) -> list[int]:
        """Bytes of each pass, of the only one where there is one."""
        width, height = self.size
        if not self.interlaced:
            return [height * self.row_bytes(width)]
        return [
            len(range(top, height, down)) * self.row_bytes(len(range(left, width, across)))
            for left, top, across, down in ADAM7
        ]


def parts_of(content: bytes) -> Parts:
    """Take a whole PNG apart."""
    chunks, pixels, at = [], [], len(START)
    while at < len(content):
        length, kind = struct.unpack_from(">I4s", content, at)
        data = content[at + 8 : at + 8 + length]
        if kind == b"IDAT":
            pixels.append(data)
        else:
            chunks.append((kind, data))
        at += 12 + length
    return Parts(chunks, pixels)


def written(parts: Parts) -> bytes:
    """Put a PNG together."""
    content = [START]
    for kind, data in parts.chunks:
        if kind == b"IEND":
            content += [_chunk(b"IDAT", pixels) for pixels in parts.pixels]
        content.append(_chunk(kind, data))
    return b"".join(content)


def last_rows(rng: Rng, content: bytes) -> Lacking:
    """Leave out rows at the end, or all passes from one on."""
    parts = parts_of(content)
    inflated = _inflated(parts)
    if parts.interlaced:
        passes = parts.passes()
        kept = int(rng.integers(len(passes)))
        return f"passes after {kept}", _with_pixels(parts, inflated[: sum(passes[:kept])])
    width, height = parts.size
    kept = int(rng.integers(height))
    return f"rows after {kept}", _with_pixels(parts, inflated[: kept * parts.row_bytes(width)])


def one_row(rng: Rng, content: bytes) -> Lacking:
    """Leave out one row, or one pass."""
    parts = parts_of(content)
    width, height = parts.size
    sizes = parts.passes() if parts.interlaced else [parts.row_bytes(width)] * height
    k = int(rng.integers(len(sizes)))
    start = sum(sizes[:k])
    inflated = _inflated(parts)
    kept = inflated[:start] + inflated[start + sizes[k] :]
    return f"{'pass' if parts.interlaced else 'row'} {k}", _with_pixels(parts, kept)


def last_bytes(rng: Rng, content: bytes) -> Lacking:
    """Leave out some bytes at the end of the inflated pixels."""
    parts = parts_of(content)
    inflated = _inflated(parts)
    left_out = int(rng.integers(1, min(len(inflated), 3000)))
    return f"last {left_out} bytes", _with_pixels(parts, inflated[:-left_out])


def pixel_chunk(rng: Rng, content: bytes) -> Lacking:
    """Split the pixels into chunks, and leave out one."""
    parts = parts_of(content)
    pixels = b"".join(parts.pixels)
    count = int(rng.integers(2, 9))
    cuts = [len(pixels) * k // count for k in range(count + 1)]
    pieces = [pixels[a:b] for a, b in pairwise(cuts)]
    k = int(rng.integers(count))
    rest = pieces[:k] + pieces[k + 1 :]
    return f"IDAT {k + 1} of {count}", written(Parts(parts.chunks, rest))


def pixels(rng: Rng, content: bytes) -> Lacking:
    """Leave out all pixels: no chunk of them, or an empty one."""
    parts = parts_of(content)
    return "all IDAT", written(Parts(parts.chunks, [b""] if rng.random() < 0.5 else []))


def stream_end(rng: Rng, content: bytes) -> Lacking:
    """Leave out the end of the compressed stream: its checksum, or more."""
    parts = parts_of(content)
    left_out = int(rng.integers(1, 64))
    kept = b"".join(parts.pixels)[:-left_out]
    return f"last {left_out} bytes of the stream", written(Parts(parts.chunks, [kept]))


def rows_by_header(rng: Rng, content: bytes) -> Lacking:
    """Claim fewer rows than there are, or more."""
    parts = parts_of(content)
    _, height = parts.size
    step = int(rng.integers(1, height))
    claimed = height - step if rng.random() < 0.5 else height + step
    return _claiming(parts, f"{claimed} rows for {height}", 4, struct.pack(">I", claimed))


def columns_by_header(rng: Rng, content: bytes) -> Lacking:
    """Claim one column of pixels less or more, or some."""
    parts = parts_of(content)
    width, _ = parts.size
    step = int(rng.integers(1, width // 2))
    claimed = width - step if rng.random() < 0.5 else width + step
    return _claiming(parts, f"{claimed} columns for {width}", 0, struct.pack(">I", claimed))


def channels_by_header(rng: Rng, content: bytes) -> Lacking:
    """Claim another kind of colours: channels too few, or too many."""
    parts = parts_of(content)
    others = [kind for kind in (0, 2, 4, 6) if kind != parts.chunks[0][1][9]]
    claimed = others[int(rng.integers(len(others)))]
    return _claiming(parts, f"colour type {claimed}", 9, bytes([claimed]))


def palette(rng: Rng, content: bytes) -> Lacking:
    """Leave out the palette."""
    parts = parts_of(content)
    if parts.chunks[0][1][9] != 3:
        return None
    rest = [chunk for chunk in parts.chunks if chunk[0] != b"PLTE"]
    return "palette", written(Parts(rest, parts.pixels))


def palette_colours(rng: Rng, content: bytes) -> Lacking:
    """Leave out colours at the end of the palette."""
    parts = parts_of(content)
    if parts.chunks[0][1][9] != 3:
        return None
    (colours,) = (data for kind, data in parts.chunks if kind == b"PLTE")
    kept = int(rng.integers(1, len(colours) // 3))
    rest = [(k, colours[: 3 * kept] if k == b"PLTE" else d) for k, d in parts.chunks]
    # Transparency has no more values than there are colours.
    rest = [(k, d[:kept] if k == b"tRNS" else d) for k, d in rest]
    return f"colours after {kept} of {len(colours) // 3}", written(Parts(rest, parts.pixels))


PNG_ABSENCES = (
    last_rows,
    one_row,
    last_bytes,
    pixel_chunk,
    pixels,
    stream_end,
    rows_by_header,
    columns_by_header,
    channels_by_header,
    palette,
    palette_colours,
)


def _inflated(parts: Parts) -> bytes:
    return zlib.decompress(b"".join(parts.pixels))


def _with_pixels(parts: Parts, inflated: bytes) -> bytes:
    return written(Parts(parts.chunks, [zlib.compress(inflated)]))


def _claiming(parts: Parts, what: str, at: int, new: bytes) -> Lacking:
    """Write over a field of the header, unless its pixels are as many bytes as before."""
    (kind, header), *rest = parts.chunks
    claimed = Parts([(kind, header[:at] + new + header[at + len(new) :]), *rest], parts.pixels)
    return None if sum(claimed.passes()) == sum(parts.passes()) else (what, written(claimed))


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
