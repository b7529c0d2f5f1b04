"""Ways to write a picture, or several, as a DICOM file; and files that are full of identifiers."""

import io
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom import config
from pydicom.datadict import DicomDictionary, dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
)

Rng = np.random.Generator
Pixels = NDArray[np.uint8]
"""uint8 RGB ``[height, width, 3]``."""

PHOTOGRAPH = "1.2.840.10008.5.1.4.1.1.77.1.4.1"
"""SOP class of one: VL Photographic Image Storage."""

UID_ROOT = "1.2.826.0.1.3680043.10.1234."
"""Of made-up instances."""


def written(data: Dataset, syntax: str, preamble: bytes = bytes(128)) -> bytes:
    """Write a data set as a file."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = syntax
    meta.MediaStorageSOPClassUID = data.SOPClassUID
    meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
    data.file_meta, data.preamble = meta, preamble
    stream = io.BytesIO()
    data.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def described(pictures: Sequence[Pixels], number: int = 1) -> Dataset:
    """Describe pictures of one size, the frames of one file, without their pixels."""
    data = Dataset()
    data.SOPClassUID, data.SOPInstanceUID = PHOTOGRAPH, f"{UID_ROOT}{number}"
    data.Rows, data.Columns, data.SamplesPerPixel = pictures[0].shape
    data.PhotometricInterpretation, data.PlanarConfiguration = "RGB", 0
    data.BitsAllocated = data.BitsStored = 8
    data.HighBit, data.PixelRepresentation = 7, 0
    if len(pictures) > 1:
        data.NumberOfFrames = len(pictures)
    return data


def put(data: Dataset, values: Mapping[str, Any]) -> None:
    """Set values by keyword, whatever the standard says of them."""
    for keyword, value in values.items():
        tag = tag_for_keyword(keyword)
        assert tag is not None
        data.add(DataElement(tag, dictionary_VR(tag), value, validation_mode=config.IGNORE))


def native(syntax: str, pictures: Sequence[Pixels], tags: Mapping[str, Any] = {}) -> bytes:
    """Write pixels that are not compressed."""
    data = described(pictures)
    content = b"".join(picture.tobytes() for picture in pictures)
    data.PixelData = content + bytes(len(content) % 2)
    data["PixelData"].VR = "OB"
    put(data, tags)
    return written(data, syntax)


def planar(pictures: Sequence[Pixels]) -> bytes:
    """Write all red samples of a picture first, then the green and the blue ones."""
    data = described(pictures)
    data.PlanarConfiguration = 1
    data.PixelData = b"".join(picture.transpose(2, 0, 1).tobytes() for picture in pictures)
    data.PixelData += bytes(len(data.PixelData) % 2)
    data["PixelData"].VR = "OB"
    return written(data, ExplicitVRLittleEndian)


def deep(pictures: Sequence[Pixels]) -> bytes:
    """Write samples of 16 bits."""
    data = described(pictures)
    data.BitsAllocated = data.BitsStored = 16
    data.HighBit = 15
    wide = (picture.astype("<u2") * 257 for picture in pictures)
    data.PixelData = b"".join(picture.tobytes() for picture in wide)
    data["PixelData"].VR = "OW"
    return written(data, ExplicitVRLittleEndian)


def palette(pictures: Sequence[Pixels]) -> bytes:
    """Write indices of 256 colours, which all pictures share."""
    shared = Image.fromarray(np.concatenate(list(pictures))).quantize(256)
    data = described(pictures)
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "PALETTE COLOR"
    del data.PlanarConfiguration
    table = np.zeros((256, 3), np.uint8)
    colours = np.asarray(shared.getpalette(), np.uint8).reshape(-1, 3)
    table[: len(colours)] = colours
    for colour, column in zip(("Red", "Green", "Blue"), table.T, strict=True):
        setattr(data, f"{colour}PaletteColorLookupTableDescriptor", [256, 0, 16])
        entries = (column.astype("<u2") * 257).tobytes()
        setattr(data, f"{colour}PaletteColorLookupTableData", entries)
    content = np.asarray(shared).tobytes()
    data.PixelData = content + bytes(len(content) % 2)
    data["PixelData"].VR = "OB"
    return written(data, ExplicitVRLittleEndian)


def jpeg_of(picture: Pixels, **options: Any) -> bytes:
    """Write a JPEG."""
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "JPEG", quality=90, **options)
    return stream.getvalue()


def encapsulated(
    streams: Sequence[bytes],
    pictures: Sequence[Pixels],
    syntax: str = JPEGBaseline8Bit,
    photometric: str = "YBR_FULL_422",
    *,
    with_table: bool = True,
    fragments: int = 1,
    tags: Mapping[str, Any] = {},
) -> bytes:
    """Write compressed pictures, with a table of their offsets or without."""
    data = described(pictures)
    data.PhotometricInterpretation = photometric
    data.PixelData = encapsulate([*streams], fragments_per_frame=fragments, has_bot=with_table)
    data["PixelData"].is_undefined_length = True
    put(data, tags)
    return written(data, syntax)


def baseline(pictures: Sequence[Pixels], **how: Any) -> bytes:
    """Write JPEG Baseline."""
    return encapsulated([jpeg_of(picture) for picture in pictures], pictures, **how)


def compressed(syntax: str, pictures: Sequence[Pixels]) -> bytes:
    """Write by one of pydicom's encoders."""
    data = described(pictures)
    # GDCM ends the process for RLE of an odd number of bytes.
    plugin = "pydicom" if syntax == RLELossless else ""
    frames = np.stack(pictures) if len(pictures) > 1 else pictures[0]
    data.compress(syntax, frames, encoding_plugin=plugin)
    return written(data, syntax)


Write = Callable[[Sequence[Pixels]], bytes]

WRITINGS: dict[str, Write] = {
    "explicit": partial(native, ExplicitVRLittleEndian),
    "implicit": partial(native, ImplicitVRLittleEndian),
    "big endian": partial(native, ExplicitVRBigEndian),
    "deflated": partial(native, DeflatedExplicitVRLittleEndian),
    "planar": planar,
    "16 bits": deep,
    "palette": palette,
    "jpeg": baseline,
    "jpeg in fragments": partial(baseline, fragments=3),
    "jpeg without a table": partial(baseline, with_table=False),
    "rle": partial(compressed, RLELossless),
    "jpeg-ls": partial(compressed, JPEGLSLossless),
    "jpeg 2000": partial(compressed, JPEG2000Lossless),
}
"""Ways to write pictures of one size as one file, by name."""

DICOM_ENCODINGS: dict[str, Callable[[Image.Image], bytes]] = {
    name: (lambda image, write=write: write([np.asarray(image)]))  # type: ignore[misc]
    for name, write in WRITINGS.items()
}
"""The same, of one picture."""

TEXTS = frozenset("PN LO SH ST LT UT UC UI DA TM DT AE AS CS UR IS DS".split())

LEFT_ALONE = frozenset({0x0000, 0x0002, 0x0028, 0x0048, 0x5200, 0x7FE0})
"""Groups that say how pixels lie, and that of the file meta information."""

KEPT_TAGS = frozenset({0x00080005, 0x00080016, 0x00080018})
"""The character set; and the UIDs, which are set otherwise."""


def with_identifiers(data: Dataset, seed: int, every: int = 1) -> list[str]:
    """Give every attribute of the standard that holds text a value of its own; gives these values.

    So have items of sequences, one in another, private elements, and the instance's UID. ``every``:
    only every n-th attribute, beginning with another one for each seed.
    """
    rng = np.random.default_rng([seed, 77])
    values: list[str] = []

    def value_of(vr: str) -> str:
        values.append(_value(rng, vr))
        return values[-1]

    named = enumerate(DicomDictionary.items())
    for k, (tag, (vr, multiplicity, _, retired, keyword)) in named:
        if (k + seed) % every:
            continue
        is_text = vr in TEXTS and keyword and not retired and multiplicity[0] in "123"
        if is_text and tag >> 16 not in LEFT_ALONE and tag not in KEPT_TAGS:
            count = int(multiplicity[0])
            several = [value_of(vr) for _ in range(count)]
            put(data, {keyword: several if count > 1 else several[0]})
    data.SOPInstanceUID = value_of("UI")
    item, inner = Dataset(), Dataset()
    inner.PatientName, inner.PersonTelephoneNumbers = value_of("PN"), value_of("SH")
    item.PatientID, item.OtherPatientIDsSequence = value_of("LO"), [inner]
    data.RequestAttributesSequence = [item]
    block = data.private_block(0x0009, value_of("LO"), create=True)
    block.add_new(0x01, "LO", value_of("LO"))
    block.add_new(0x02, "UN", value_of("LT").encode())
    return values


def _value(rng: Rng, vr: str) -> str:
    """Draw a value that no other one, and no output by chance, has in it."""
    letters = "".join(rng.choice(list("QXZJVKWY"), 12))
    digits = "".join(map(str, rng.integers(1, 10, 12)))
    named = {
        "PN": f"{letters}^{letters[::-1]}",
        "UI": f"{UID_ROOT}{digits}",
        "DA": f"18{digits[:2]}0{digits[2]}1{digits[3]}",
        "TM": f"1{digits[0]}0123.{digits[:6]}",
        "DT": f"18{digits[:2]}0101101112.{digits[:6]}",
        "AS": f"9{digits[:2]}Y",
        "UR": f"http://{letters.lower()}.example/",
        "IS": digits[:9],
        "DS": f"{digits}.5",
        "SH": letters[:10],
    }
    return named.get(vr, letters)


def pixels_of(picture: bytes) -> Pixels:
    """Decode a JPEG or a PNG."""
    with Image.open(io.BytesIO(picture)) as image:
        return np.asarray(image.convert("RGB"))
