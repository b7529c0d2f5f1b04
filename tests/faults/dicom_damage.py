"""Damaged and hostile DICOM files of every transfer syntax, each one again from (seed, k).

Kinds of damage take turns, and each of them takes the ways of writing a file in turn. Every file
has identifiers of its own in its header.
"""

import io
import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256

import numpy as np
from pydicom import dcmread
from pydicom.uid import DeflatedExplicitVRLittleEndian

from tests.faults.archive_damage import BYTE_DAMAGE
from tests.faults.corpus import generated_jpegs
from tests.faults.dicom_writing import (
    WRITINGS,
    Pixels,
    Rng,
    pixels_of,
    put,
    with_identifiers,
    written,
)

Damage = Callable[[Rng, bytes], bytes]

PICTURES = 24
IDENTIFIERS_EVERY = 40

EXPLICIT = tuple(name for name in WRITINGS if name not in ("implicit", "big endian", "deflated"))
"""Ways of writing whose elements stand in the file as they are, each with its VR."""

LONG = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"UC", b"UN", b"UR", b"UT"})
"""Value representations whose length has four bytes."""

VRS = (b"PN", b"US", b"SQ", b"OB", b"UT", b"IS", b"UN", b"AT", b"FD", b"??", b"\0\0", b"zz")

PIXELS = b"\xe0\x7f\x10\x00"


@dataclass(frozen=True)
class Element:
    """Where an element stands: its tag, its length, and its value's begin and end."""

    at: int
    vr: bytes
    length_at: int
    length_size: int
    value: int
    end: int


def elements(content: bytes) -> list[Element]:
    """Find the elements of an explicit, little-endian file, up to its pixels."""
    found, at = [], 132
    while at + 8 <= len(content):
        vr = content[at + 4 : at + 6]
        size = 4 if vr in LONG else 2
        length_at = at + 8 if size == 4 else at + 6
        value = length_at + size
        length = int.from_bytes(content[length_at:value], "little")
        if length == 0xFFFFFFFF and content[at : at + 4] != PIXELS:
            end = content.index(b"\xfe\xff\xdd\xe0\0\0\0\0", value) + 8
        else:
            end = min(value + length, len(content))
        found.append(Element(at, vr, length_at, size, value, end))
        if content[at : at + 4] == PIXELS:
            break
        at = end
    return found


def _one(rng: Rng, content: bytes) -> Element:
    found = elements(content)
    return found[int(rng.integers(len(found)))]


def _tagged(content: bytes, tag: int) -> Element | None:
    wanted = struct.pack("<HH", tag >> 16, tag & 0xFFFF)
    return next((e for e in elements(content) if content[e.at : e.at + 4] == wanted), None)


def _replaced(content: bytes, at: int, new: bytes) -> bytes:
    return content[:at] + new + content[at + len(new) :]


def header_flips(rng: Rng, content: bytes) -> bytes:
    """Flip bits before the pixels."""
    damaged, most = bytearray(content), content.find(PIXELS) + 12
    for at in rng.integers(most if most > 12 else len(content), size=int(rng.integers(1, 9))):
        damaged[at] ^= 1 << int(rng.integers(8))
    return bytes(damaged)


def swapped_tags(rng: Rng, content: bytes) -> bytes:
    """Let two elements change their tags."""
    one, other = _one(rng, content), _one(rng, content)
    tags = content[one.at : one.at + 4], content[other.at : other.at + 4]
    return _replaced(_replaced(content, one.at, tags[1]), other.at, tags[0])


def wrong_length(rng: Rng, content: bytes) -> bytes:
    """Let an element claim another length."""
    found = _one(rng, content)
    most = 256**found.length_size - 1
    lengths = (0, 1, most, most - 1, most // 2, int(rng.integers(most)), int(rng.integers(200)))
    new = lengths[int(rng.integers(len(lengths)))]
    return _replaced(content, found.length_at, new.to_bytes(found.length_size, "little"))


def wrong_vr(rng: Rng, content: bytes) -> bytes:
    """Let an element claim another value representation."""
    found = _one(rng, content)
    return _replaced(content, found.at + 4, VRS[int(rng.integers(len(VRS)))])


def _with_tags(content: bytes, **values: object) -> bytes:
    data = dcmread(io.BytesIO(content))
    put(data, values)
    return written(data, data.file_meta.TransferSyntaxUID)


def lying_frames(rng: Rng, content: bytes) -> bytes:
    """Claim another number of frames."""
    claims = ("0", "1", "2", "4", "300", "9999", "10001", "1000000000", "9" * 12)
    return _with_tags(content, NumberOfFrames=claims[int(rng.integers(len(claims)))])


def no_number_of_frames(rng: Rng, content: bytes) -> bytes:
    """Have something else where the number of frames should be."""
    found = _with_tags(content, NumberOfFrames="77777777")
    texts = (
        b"-3      ",
        b"zwei    ",
        b"2\\3     ",
        b"1e3     ",
        b"\xff\xfe\0\0\0\0\0\0",
        b"2.5     ",
    )
    return found.replace(b"77777777", texts[int(rng.integers(len(texts)))])


def lying_size(rng: Rng, content: bytes) -> bytes:
    """Claim another size, other samples, or other bits."""
    keywords = ("Rows", "Columns", "SamplesPerPixel", "BitsAllocated", "BitsStored", "HighBit")
    keyword = keywords[int(rng.integers(len(keywords)))]
    numbers = (0, 1, 2, 3, 4, 7, 12, 32, 64, 71, 97, 1000, 65535)
    return _with_tags(content, **{keyword: numbers[int(rng.integers(len(numbers)))]})


def lying_colours(rng: Rng, content: bytes) -> bytes:
    """Claim another photometric interpretation."""
    named = ("MONOCHROME2", "YBR_FULL", "YBR_ICT", "PALETTE COLOR", "HSV", "CMYK", "x\x1b[31mX")
    return _with_tags(content, PhotometricInterpretation=named[int(rng.integers(len(named)))])


def lying_syntax(rng: Rng, content: bytes) -> bytes:
    """Claim another transfer syntax."""
    last = ("", ".1", ".2", ".1.99", ".4.50", ".4.57", ".4.70", ".4.80", ".4.90", ".5", ".9.9")
    data = dcmread(io.BytesIO(content))
    old = str(data.file_meta.TransferSyntaxUID)
    new = f"1.2.840.10008.1.2{last[int(rng.integers(len(last)))]}"
    return content.replace(old.encode(), new.encode().ljust(len(old), b"\0")[: len(old)], 1)


def endless_sequence(rng: Rng, content: bytes) -> bytes:
    """Put sequences into sequences, up to thousands of them, without an end."""
    at = _tagged(content, 0x00280002)
    assert at
    deep = (2, 40, 900, 5000)[int(rng.integers(4))]
    opened = b"\x09\x00\x10\x10SQ\0\0\xff\xff\xff\xff\xfe\xff\x00\xe0\xff\xff\xff\xff"
    return content[: at.at] + opened * deep + content[at.at :]


def lying_offsets(rng: Rng, content: bytes) -> bytes:
    """Let the table of offsets, or an added one, lie about where frames begin."""
    if rng.random() < 0.5:
        numbers = rng.integers(0, 2**63, 3, dtype=np.uint64).astype("<u8").tobytes()
        return _with_tags(content, ExtendedOffsetTable=numbers, ExtendedOffsetTableLengths=numbers)
    table = content.index(b"\xfe\xff\x00\xe0", content.index(PIXELS)) + 4
    length = int.from_bytes(content[table : table + 4], "little")
    offset = int(rng.integers(2**32)) if rng.random() < 0.5 else int(rng.integers(2000))
    if not length:
        return content[:table] + struct.pack("<II", 4, offset) + content[table + 4 :]
    return _replaced(
        content, table + 4 + 4 * int(rng.integers(length // 4)), struct.pack("<I", offset)
    )


def lying_fragments(rng: Rng, content: bytes) -> bytes:
    """Let a fragment claim another length, or be no fragment."""
    starts, at = [], content.index(PIXELS)
    while (at := content.find(b"\xfe\xff\x00\xe0", at + 4)) > 0:
        starts.append(at)
    at = starts[int(rng.integers(len(starts)))]
    if rng.random() < 0.3:
        return _replaced(content, at, rng.bytes(4))
    lengths = (0, 2, 1, 0xFFFFFFFF, 0xFFFFFFFE, int(rng.integers(5000)))
    return _replaced(content, at + 4, struct.pack("<I", lengths[int(rng.integers(len(lengths)))]))


def deflate_bomb(rng: Rng, content: bytes) -> bytes:
    """Deflate a header with hundreds of megabytes behind it."""
    data = dcmread(io.BytesIO(content))
    head = written(data, data.file_meta.TransferSyntaxUID)
    begin = next(e.at for e in elements(head) if head[e.at : e.at + 2] != b"\x02\x00")
    meta = head[:begin].replace(
        str(data.file_meta.TransferSyntaxUID).encode(),
        str(DeflatedExplicitVRLittleEndian).encode(),
    )
    packer = zlib.compressobj(9, wbits=-15)
    packed = packer.compress(head[begin : head.index(PIXELS)])
    packed += packer.compress(PIXELS + b"OW\0\0\xff\xff\xff\x7f")
    zeros = bytes(1 << 20)
    for _ in range(int(rng.integers(70, 200))):
        packed += packer.compress(zeros)
    return meta + packed + packer.flush()


HOSTILE = (
    "=cmd|' /C calc'!A0",
    "a\nimage,status\nx,ok",
    "\x1b]0;owned\x07",
    "<script>",
    "%s%n{0}",
    "\\",
    "x" * 5000,
)


def hostile_strings(rng: Rng, content: bytes) -> bytes:
    """Have formulas, line ends and control characters in the header, in a charset that lies."""
    text = HOSTILE[int(rng.integers(len(HOSTILE)))]
    charsets = ("ISO_IR 192", "ISO 2022 IR 87", "GB18030", "nonsense", "utf-16\\ISO_IR 100")
    charset = charsets[int(rng.integers(len(charsets)))]
    keywords = ("PatientID", "PatientName", "StudyID", "ImageComments", "SOPInstanceUID")
    data = _with_tags(content, **dict.fromkeys(keywords, text), SpecificCharacterSet="?" * 22)
    # pydicom would have to write the text in it.
    return data.replace(b"?" * 22, charset.encode().ljust(22))


def no_preamble(rng: Rng, content: bytes) -> bytes:
    """Leave out the preamble, and sometimes the file meta information."""
    if rng.random() < 0.5:
        return content[132:]
    return content[next(e.at for e in elements(content) if content[e.at : e.at + 2] != b"\x02\0") :]


def second_data_set(rng: Rng, content: bytes) -> bytes:
    """Write the data set twice."""
    begin = next(e.at for e in elements(content) if content[e.at : e.at + 2] != b"\x02\0")
    return content + content[begin:]


ANY, WITH_VR, IN_FRAGMENTS = (
    tuple(WRITINGS),
    EXPLICIT,
    tuple(name for name in EXPLICIT if name.startswith(("jpeg", "rle"))),
)

KINDS: tuple[tuple[Damage, tuple[str, ...]], ...] = (
    *((damage, ANY) for damage in BYTE_DAMAGE),
    (header_flips, ANY),
    (header_flips, WITH_VR),
    *((damage, WITH_VR) for damage in (swapped_tags, wrong_length, wrong_vr) * 2),
    *((damage, ANY) for damage in (lying_frames, no_number_of_frames, lying_size, lying_colours)),
    *((damage, ANY) for damage in (lying_syntax, hostile_strings)),
    *((damage, WITH_VR) for damage in (endless_sequence, no_preamble, second_data_set)),
    *((damage, IN_FRAGMENTS) for damage in (lying_offsets, lying_fragments) * 2),
    (deflate_bomb, ("explicit",)),
)


@dataclass(frozen=True)
class DicomFile:
    """A file, what was done to it, and the values of its header that nobody may see."""

    k: int
    kind: str
    writing: str
    name: str
    content: bytes
    values: tuple[str, ...] = field(repr=False, default=())


def damaged_file(seed: int, k: int) -> DicomFile:
    """Damage number ``k`` of a seed."""
    rng = np.random.default_rng([seed, k])
    damage, writings = KINDS[k % len(KINDS)]
    writing = writings[k // len(KINDS) % len(writings)]
    content, values = whole_file(seed, k, writing, int(rng.integers(1, 4)))
    # A cut may leave nothing, and a bit may be flipped twice.
    damaged = damage(rng, content)
    return DicomFile(k, damage.__name__, writing, _name(f"{seed} {k}", k), damaged, values)


def good_file(seed: int, k: int) -> DicomFile:
    """A file that nothing is wrong with, of 1 to 3 frames."""
    writing = ANY[k % len(ANY)]
    content, values = whole_file(seed, 1_000_000 + k, writing, 1 + k // len(ANY) % 3)
    return DicomFile(k, "good", writing, _name(f"good {seed} {k}", k), content, values)


def whole_file(seed: int, k: int, writing: str, frames: int) -> tuple[bytes, tuple[str, ...]]:
    """Write a file that is full of identifiers; gives these, too."""
    pictures = _pictures(seed)
    chosen = [pictures[(k * 7 + n) % len(pictures)] for n in range(frames)]
    data = dcmread(io.BytesIO(WRITINGS[writing](chosen)))
    values = with_identifiers(data, seed * 1_000_003 + k, IDENTIFIERS_EVERY)
    put(data, {"ImageComments": f"{seed} {k}"})
    return written(data, data.file_meta.TransferSyntaxUID), tuple(values)


@lru_cache(maxsize=4)
def _pictures(seed: int) -> Sequence[Pixels]:
    return [pixels_of(content) for content in generated_jpegs(PICTURES, seed, 96, 72)]


def _name(label: str, k: int) -> str:
    return sha256(label.encode()).hexdigest()[:12] + ("", ".dcm", ".IMA")[k % 3]
