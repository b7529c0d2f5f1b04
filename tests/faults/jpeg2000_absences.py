"""JPEG 2000 files, and what they may lack; functions as in ``jpeg_absences``."""

import io
import struct
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from PIL import Image

from tests.faults.coded_absences import (
    Lacking,
    bytes_of_file,
    coded_absences,
    end_of_file,
    without,
    zeros_to_the_end,
)

Rng = np.random.Generator
Encode = Callable[[Image.Image], bytes]

SOC, SOD, EOC = b"\xff\x4f\xff\x51", b"\xff\x93", b"\xff\xd9"
PACKET_LENGTHS = 0x58


def encoded(image: Image.Image, mode: str = "RGB", **options: Any) -> bytes:
    """Write JPEG 2000 the way Pillow does; the lengths of its packets stand in it."""
    stream = io.BytesIO()
    image.convert(mode).save(stream, format="JPEG2000", plt=True, **options)
    return stream.getvalue()


def _taken(content: bytes) -> tuple[bytes, list[tuple[bytes, bytes]]]:
    """Give all before the first tile, and header and data of each tile."""
    at = content.index(b"\xff\x90", content.index(SOC))
    head, tiles = content[:at], []
    while content[at : at + 2] == b"\xff\x90":
        (size,) = struct.unpack_from(">I", content, at + 6)
        data = content.index(SOD, at) + 2
        tiles.append((content[at:data], content[data : at + size]))
        at += size
    return head, tiles


def _written(head: bytes, tiles: list[tuple[bytes, bytes]]) -> bytes:
    body = b""
    for header, data in tiles:
        body += header[:6] + struct.pack(">I", len(header) + len(data)) + header[10:] + data
    box = head.find(b"jp2c")
    if box >= 0:
        size = len(head) - box + 4 + len(body) + len(EOC)
        head = head[: box - 4] + struct.pack(">I", size) + head[box:]
    return head + body + EOC


def pieces_of(content: bytes) -> list[bytes]:
    """Give what a file holds of compressed pixels, in pieces."""
    return [data for _, data in _taken(content)[1]]


def with_pieces(content: bytes, pieces: list[bytes]) -> bytes:
    """Write a file with other pieces, its lengths in order."""
    head, tiles = _taken(content)
    return _written(head, [(t[0], p) for t, p in zip(tiles, pieces, strict=True)])


def tile(rng: Rng, content: bytes) -> Lacking:
    """Leave out a tile."""
    head, tiles = _taken(content)
    if len(tiles) < 2:
        return None
    k = int(rng.integers(len(tiles)))
    return f"tile {k}", _written(head, without(tiles, k))


def last_packets(rng: Rng, content: bytes) -> Lacking:
    """Leave out whole packets at the end of a tile, and the list of their lengths."""
    head, tiles = _taken(content)
    k = int(rng.integers(len(tiles)))
    header, data = tiles[k]
    sizes = _packet_sizes(header)
    kept = int(rng.integers(len(sizes)))
    tiles[k] = header[:12] + SOD, data[: sum(sizes[:kept])]
    return f"packets after {kept} of {len(sizes)} of tile {k}", _written(head, tiles)


def packet(rng: Rng, content: bytes) -> Lacking:
    """Leave out one packet of a tile."""
    head, tiles = _taken(content)
    k = int(rng.integers(len(tiles)))
    header, data = tiles[k]
    sizes = _packet_sizes(header)
    n = int(rng.integers(len(sizes)))
    start = sum(sizes[:n])
    tiles[k] = header[:12] + SOD, data[:start] + data[start + sizes[n] :]
    return f"packet {n} of {len(sizes)} of tile {k}", _written(head, tiles)


def _packet_sizes(header: bytes) -> list[int]:
    sizes, at, size = [], 12, 0
    while header[at : at + 2] != SOD:
        (length,) = struct.unpack_from(">H", header, at + 2)
        if header[at + 1] == PACKET_LENGTHS:
            for byte in header[at + 5 : at + 2 + length]:
                size = size << 7 | byte & 127
                if byte < 128:
                    sizes.append(size)
                    size = 0
        at += 2 + length
    return sizes


def mark_of_the_end(_: Rng, content: bytes) -> Lacking:
    """Leave out the mark of the end, with zeros in its place or nothing."""
    return "mark of the end", content[:-2] + bytes(2)


def by_header(rng: Rng, content: bytes) -> Lacking:
    """Claim fewer rows than there are, or more, in one of both headers."""
    box = content.find(b"ihdr")
    if box < 0:
        return None
    place = (box + 4, content.index(SOC) + 12)[int(rng.integers(2))]
    (size,) = struct.unpack_from(">I", content, place)
    step = int(rng.integers(1, size // 2))
    claimed = size - step if rng.random() < 0.5 else size + step
    changed = bytearray(content)
    struct.pack_into(">I", changed, place, claimed)
    return f"{claimed} rows for {size}", bytes(changed)


JPEG2000_ENCODINGS: dict[str, Encode] = {
    "lossless": encoded,
    "tiles": partial(encoded, tile_size=(64, 64)),
    "layers": partial(encoded, irreversible=True, quality_mode="rates", quality_layers=[30, 12, 4]),
    "codestream, by position": partial(
        encoded, no_jp2=True, progression="PCRL", precinct_size=(64, 64), codeblock_size=(16, 16)
    ),
    "by component": partial(encoded, progression="CPRL", num_resolutions=4, mct=0),
    "grey": partial(encoded, mode="L"),
    "RGBA, by resolution": partial(encoded, mode="RGBA", progression="RLCP"),
}

JPEG2000_ABSENCES = (
    *coded_absences(pieces_of, with_pieces),
    *(bytes_of_file, end_of_file, zeros_to_the_end),
    *(tile, last_packets, packet, mark_of_the_end, by_header),
)
