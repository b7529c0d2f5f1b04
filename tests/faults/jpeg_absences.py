"""JPEGs that lack one part, and are in order otherwise: markers, numbering and end are right.

Every function takes its chance from ``rng`` alone, and gives what is missing and the file, or
None where the file has no such part. Whether the part is missed at all is for others to find out.
"""

import io
import re
from dataclasses import dataclass

import numpy as np
from PIL import Image

from tests.faults.jpeg_parts import DHT, DQT, DRI, EOI, SOF, SOI, SOS

Rng = np.random.Generator
Lacking = tuple[str, bytes] | None
"""What is missing, and the file without it."""

_SCAN_END = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_RESTART = re.compile(rb"\xff[\xd0-\xd7]")

MCU_ROW = 16
"""No row of MCUs of these files is higher."""


@dataclass(frozen=True)
class Part:
    """A marker segment, and behind the header of a scan its entropy-coded data."""

    marker: int
    segment: bytes
    data: bytes = b""

    @property
    def components(self) -> bytes:
        """Of a scan: the ids."""
        return self.segment[5 : 5 + 2 * self.segment[4] : 2]

    @property
    def is_refinement(self) -> bool:
        """Of a scan: whether it adds a bit to what an earlier one began."""
        return self.segment[-1] >> 4 > 0


def parts_of(content: bytes) -> list[Part]:
    """Take a whole JPEG apart, without SOI and EOI and what follows it."""
    parts, at = [], len(SOI)
    while content[at + 1] != EOI[1]:
        end = at + 2 + int.from_bytes(content[at + 2 : at + 4])
        marker, segment = content[at + 1], content[at:end]
        at = end
        if marker == SOS:
            found = _SCAN_END.search(content, end)
            assert found
            at = found.start()
        parts.append(Part(marker, segment, content[end:at]))
    return parts


def written(parts: list[Part]) -> bytes:
    """Put a JPEG together."""
    return SOI + b"".join(part.segment + part.data for part in parts) + EOI


def scan(rng: Rng, content: bytes) -> Lacking:
    """Leave out one scan of several."""
    parts = parts_of(content)
    return _without(parts, _one(rng, _scans(parts)), "scan")


def last_scans(rng: Rng, content: bytes) -> Lacking:
    """Leave out all scans from one on, with the tables between them."""
    parts = parts_of(content)
    scans = _scans(parts)
    if len(scans) < 2:
        return None
    kept = int(rng.integers(1, len(scans)))
    return f"scans after {kept} of {len(scans)}", written(parts[: scans[kept - 1] + 1])


def refinement(rng: Rng, content: bytes) -> Lacking:
    """Leave out a bit of some coefficients: one refining scan of a progressive file."""
    parts = parts_of(content)
    chosen = [k for k in _scans(parts) if parts[k].is_refinement]
    return _without(parts, _one(rng, chosen), "refinement")


def component(rng: Rng, content: bytes) -> Lacking:
    """Leave out every scan of one component alone: all of it, or its AC coefficients."""
    parts = parts_of(content)
    single = [k for k in _scans(parts) if len(parts[k].components) == 1]
    if not single or len(_scans(parts)) < 2:
        return None
    wanted = parts[_one(rng, single)].components
    rest = [p for k, p in enumerate(parts) if k not in single or p.components != wanted]
    return f"component {wanted[0]}", written(rest)


def end_of_scan(rng: Rng, content: bytes) -> Lacking:
    """Leave out the end of a scan's data: rows of blocks."""
    parts = parts_of(content)
    chosen = [k for k in _scans(parts) if len(parts[k].data) > 16]
    k = _one(rng, chosen)
    data = parts[k].data
    kept = data[: int(rng.integers(1, len(data) - 8))].removesuffix(b"\xff")
    cut = Part(SOS, parts[k].segment, kept)
    return f"end of scan {_scans(parts).index(k)}", written([*parts[:k], cut, *parts[k + 1 :]])


def restart_interval(rng: Rng, content: bytes) -> Lacking:
    """Leave out what lies between two restart markers, and number the markers again."""
    parts = parts_of(content)
    chosen = [k for k in _scans(parts) if _RESTART.search(parts[k].data)]
    if not chosen:
        return None
    k = _one(rng, chosen)
    intervals = _RESTART.split(parts[k].data)
    left_out = int(rng.integers(len(intervals)))
    kept = intervals[:left_out] + intervals[left_out + 1 :]
    data = kept[0] + b"".join(
        bytes([0xFF, 0xD0 + n % 8]) + interval for n, interval in enumerate(kept[1:])
    )
    shorter = Part(SOS, parts[k].segment, data)
    return f"restart interval {left_out}", written([*parts[:k], shorter, *parts[k + 1 :]])


def restart_definition(rng: Rng, content: bytes) -> Lacking:
    """Leave out the segment that says how long restart intervals are."""
    parts = parts_of(content)
    return _without(parts, _one(rng, _of(parts, DRI)), "restart interval's length", spare=False)


def huffman_table(rng: Rng, content: bytes) -> Lacking:
    """Leave out one Huffman table, or a segment of several."""
    parts = parts_of(content)
    return _without_table(rng, parts, DHT)


def huffman_tables(rng: Rng, content: bytes) -> Lacking:
    """Leave out all Huffman tables."""
    parts = parts_of(content)
    rest = [part for part in parts if part.marker != DHT]
    return "all Huffman tables", written(rest)


def quantisation_table(rng: Rng, content: bytes) -> Lacking:
    """Leave out one quantisation table, or a segment of several."""
    return _without_table(rng, parts_of(content), DQT)


def rows_by_header(rng: Rng, content: bytes) -> Lacking:
    """Claim fewer rows than there are, or more."""
    parts = parts_of(content)
    (k,) = (k for k, part in enumerate(parts) if part.marker in SOF)
    frame = parts[k].segment
    height = int.from_bytes(frame[5:7])
    step = MCU_ROW * int(rng.integers(1, height // MCU_ROW))
    claimed = height - step if rng.random() < 0.5 else height + step
    changed = Part(parts[k].marker, frame[:5] + claimed.to_bytes(2) + frame[7:])
    return f"{claimed} rows for {height}", written([*parts[:k], changed, *parts[k + 1 :]])


def image(rng: Rng, content: bytes) -> Lacking:
    """Leave out the image; what other segments hold, as a thumbnail, and the end are there."""
    return "image", written(_without_image(content))


def first_image(rng: Rng, content: bytes) -> Lacking:
    """Leave out the image, and let another whole one follow, as in a file of several."""
    stream = io.BytesIO()
    with Image.open(io.BytesIO(content)) as whole:
        whole.transpose(Image.Transpose.ROTATE_180).save(stream, format="JPEG")
    return "first image of two", written(_without_image(content)) + stream.getvalue()


JPEG_ABSENCES = (
    scan,
    last_scans,
    refinement,
    component,
    end_of_scan,
    restart_interval,
    restart_definition,
    huffman_table,
    huffman_tables,
    quantisation_table,
    rows_by_header,
    image,
    first_image,
)


def _without_image(content: bytes) -> list[Part]:
    return [p for p in parts_of(content) if p.marker not in SOF and p.marker != SOS]


def _scans(parts: list[Part]) -> list[int]:
    return _of(parts, SOS)


def _of(parts: list[Part], marker: int) -> list[int]:
    return [k for k, part in enumerate(parts) if part.marker == marker]


def _one(rng: Rng, places: list[int]) -> int:
    return places[int(rng.integers(len(places)))] if places else -1


def _without(parts: list[Part], k: int, name: str, *, spare: bool = True) -> Lacking:
    """Leave out a part, unless ``spare`` and it is the only one of its kind."""
    if k < 0:
        return None
    alike = _of(parts, parts[k].marker)
    if spare and len(alike) < 2:
        return None
    number = f"{name} {alike.index(k) + 1} of {len(alike)}"
    return number, written(parts[:k] + parts[k + 1 :])


def _without_table(rng: Rng, parts: list[Part], marker: int) -> Lacking:
    name = "Huffman table" if marker == DHT else "quantisation table"
    return _without(parts, _one(rng, _of(parts, marker)), name, spare=False)
