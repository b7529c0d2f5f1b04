"""What a file is, by its bytes: proof that it is an image, and a name for what is none.

A short signature proves nothing: a table may begin with ``BMI,age``, a letter with ``GIF89a``.
So text is never an image, and a header has to hold values that its format allows.
"""

import codecs
import re
import struct
from collections.abc import Mapping

HEAD_BYTES = 512
"""How many bytes :func:`image_format` wants to see: DICOM's mark stands behind 128 others."""

JPEG_START, PNG_START = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"

SUPPORTED = frozenset({"jpeg", "png"})

SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".png"})
"""Of files in a supported format."""

PICTURE_SUFFIXES = SUFFIXES | frozenset(
    ".webp .tif .tiff .btf .bmp .dib .gif .jp2 .j2k .j2c .jpc .jpf .jpx .heic .heif .hif .avif"
    " .apng .mpo .dcm .dicom".split()
)
"""Of files in every format that is decoded, DICOM among them."""

UNKNOWN = "unknown content"

_IMAGES: tuple[tuple[bytes, str], ...] = (
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"\x00\x00\x00\x0cjP  \r\n\x87\n", "jpeg2000"),
    (b"\xff\x4f\xff\x51", "jpeg2000"),
    (b"\x00\x00\x00\x0cJXL \r\n\x87\n", "jpeg xl"),
    (b"II\xbc\x01", "jpeg xr"),
    (b"8BPS\x00\x01", "psd"),
    (b"8BPS\x00\x02", "psd"),
    (b"FUJIFILMCCD-RAW ", "raf"),
    (b"IIU\x00\x18\x00\x00\x00", "rw2"),
    (b"IIRO\x08\x00\x00\x00", "orf"),
    (b"IIRS\x08\x00\x00\x00", "orf"),
    (b"MMOR\x00\x00\x00\x08", "orf"),
)

_OTHERS: tuple[tuple[bytes, str], ...] = (
    # Images whose signature is too short to overrule a name.
    (b"\xff\x0a", "jpeg xl"),
    (b"\x89PNG", "png with a damaged signature"),
    (b"\x00\x00\x01\x00", "ico"),
    (b"DDS ", "dds"),
    (b"gimp xcf ", "xcf"),
    (b"%PDF-", "pdf"),
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
    (b"\x1f\x8b\x08", "gzip"),
    (b"7z\xbc\xaf\x27\x1c", "7z"),
    (b"Rar!\x1a\x07", "rar"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "ole2: an old Office file or Thumbs.db"),
    (b"CMMM", "thumbnail cache of Windows"),
    (b"\x00\x05\x16\x07\x00\x02\x00\x00", "appledouble: attributes of another file"),
    (b"\x00\x05\x16\x00\x00\x02\x00\x00", "applesingle"),
    (b"bplist00", "property list of Apple"),
    (b"SQLite format 3\x00", "sqlite"),
    (b"\x89HDF\r\n\x1a\n", "hdf5"),
    (b"\x93NUMPY", "npy"),
    (b"\x1a\x45\xdf\xa3", "video"),
    (b"\x00\x00\x01\xba", "video"),
    (b"\x00\x00\x01\xb3", "video"),
)

_BRANDS: Mapping[bytes, str] = {
    **dict.fromkeys((b"avif", b"avis"), "avif"),
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"), "heic"),
    b"crx ": "cr3",
    **dict.fromkeys((b"mif1", b"msf1"), "heif"),
}
"""Brands of image files in ISO's container, the more specific first."""

_VIDEO_BOXES = frozenset({b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"})

_BMP_HEADERS = frozenset({12, 16, 40, 52, 56, 64, 108, 124})
"""Sizes of the second header of a BMP, one for each version."""

_BMP_BITS = frozenset({0, 1, 2, 4, 8, 16, 24, 32})

_DICOM_ELEMENT = re.compile(
    # File meta information or the first group, with a value representation or with a length.
    rb"\x02\x00[\x00-\x03\x10\x12]\x00(UL\x04\x00|OB\x00\x00|UI.\x00)"
    rb"|\x08\x00[\x00\x01\x05\x08\x12\x13\x16\x18]\x00(UL\x04\x00|(CS|UI|DA|TM).\x00)"
    rb"|\x08\x00\x00\x00\x04\x00\x00\x00"
    rb"|\x08\x00\x05\x00.\x00\x00\x00ISO_IR",
    re.DOTALL,
)
_DICOM_DIRECTORY = b"1.2.840.10008.1.3.10\x02\x00"
"""What a DICOMDIR says it is, and the beginning of the next element."""

_ORDERS = {b"II*\x00": "<", b"MM\x00*": ">"}
"""How a TIFF begins, and the byte order that it then has, as struct writes it."""

_SUBFILE_TYPE, _MAKE, _SUB_IFDS, _DNG_VERSION = 0x00FE, 0x010F, 0x014A, 0xC612
_MAKERS: tuple[tuple[bytes, str], ...] = ((b"NIKON", "nef"), (b"SONY", "arw"))

_HTML = re.compile(
    rb"\s*(<!--.*?-->\s*)*<(!doctype\s+html|html|head|body|script|title|meta)\b",
    re.IGNORECASE | re.DOTALL,
)
_ANNEX = re.compile(rb"((\.\./)*\.git)?/annex/objects/")
_NETPBM = re.compile(rb"P[1-7]\s+(#[^\n]*\n\s*)*(\d+\s+\d+\s|WIDTH )")
_CONTROLS = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
_ASCII_SHARE = 0.75
"""Of text in one of the old encodings, such as Latin-1."""


def image_format(head: bytes) -> str | None:
    """Name the image format that a file's first ``HEAD_BYTES`` bytes prove, or None."""
    if head.startswith(JPEG_START):
        return "jpeg"
    if head.startswith(PNG_START):
        return "png"
    if is_text(head):
        return None
    # DICOM first: its preamble may hold the header of a TIFF.
    return _dicom(head) or _by_start(head, _IMAGES) or _container(head) or _tiff(head) or _bmp(head)


def kind_of(content: bytes) -> str:
    """Name what a whole file is, image or not; ``UNKNOWN`` if nothing is known of it."""
    found = image_format(content)
    if found == "tiff":
        return _camera_raw(content) or found
    return found or _lost(content) or _text_kind(content) or _other_kind(content) or UNKNOWN


def is_text(head: bytes) -> bool:
    """Tell whether a file's first bytes are text: UTF-8, UTF-16 with its mark, or Latin-1."""
    head = head[:HEAD_BYTES]
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return _decodes(head, "utf-16")
    if not head or _CONTROLS.search(head):
        return False
    ascii_bytes = sum(byte < 0x80 for byte in head)
    return _decodes(head, "utf-8") or ascii_bytes >= _ASCII_SHARE * len(head)


def _decodes(head: bytes, encoding: str) -> bool:
    try:
        # Not final: the last character may lie partly behind these bytes.
        text = codecs.getincrementaldecoder(encoding)().decode(head)
    except UnicodeDecodeError:
        return False
    return "\0" not in text


def _by_start(content: bytes, table: tuple[tuple[bytes, str], ...]) -> str | None:
    return next((name for start, name in table if content.startswith(start)), None)


def _dicom(head: bytes) -> str | None:
    if head[128:132] == b"DICM" and head[132:134] in (b"\x02\x00", b"\x08\x00"):
        return None if _DICOM_DIRECTORY in head[:HEAD_BYTES] else "dicom"
    # Without the preamble: old files, and those that were taken out of a network transfer.
    return "dicom" if _DICOM_ELEMENT.match(head) else None


def _container(head: bytes) -> str | None:
    if head[:4] == b"RIFF" and head[8:15] == b"WEBPVP8":
        return "webp"
    size = int.from_bytes(head[:4])
    if head[4:8] != b"ftyp" or size < 16 or size % 4:
        return None
    brands = {head[k : k + 4] for k in (8, *range(16, min(size, HEAD_BYTES), 4))}
    return next((name for brand, name in _BRANDS.items() if brand in brands), None)


def _tiff(head: bytes) -> str | None:
    if head[:8] in (b"II+\x00\x08\x00\x00\x00", b"MM\x00+\x00\x08\x00\x00"):
        return "tiff"
    order = _ORDERS.get(head[:4])
    # The first directory cannot lie in the header's own eight bytes.
    if order is None or len(head) < 8 or struct.unpack_from(f"{order}I", head, 4)[0] < 8:
        return None
    return "cr2" if head[8:11] == b"CR\x02" else "tiff"


def _camera_raw(content: bytes) -> str | None:
    """Tell a camera's raw file from other TIFFs: its first image is a thumbnail."""
    order = _ORDERS.get(content[:4])
    try:
        tags = _first_directory(content, order) if order else {}
    except struct.error:
        return None
    if _DNG_VERSION in tags:
        return "dng"
    if tags.get(_SUBFILE_TYPE) != 1 or _SUB_IFDS not in tags:
        return None
    return _by_start(content[tags.get(_MAKE, 0) :][:16].upper(), _MAKERS) or "camera raw"


def _first_directory(content: bytes, order: str) -> dict[int, int]:
    (start,) = struct.unpack_from(f"{order}I", content, 4)
    (count,) = struct.unpack_from(f"{order}H", content, start)
    entries = (
        struct.unpack_from(f"{order}HHII", content, start + 2 + 12 * k) for k in range(count)
    )
    return {tag: value for tag, _, _, value in entries}


def _bmp(head: bytes) -> str | None:
    if head[:2] != b"BM" or len(head) < 30:
        return None
    pixels, size = struct.unpack_from("<II", head, 10)
    planes, bits = struct.unpack_from("<HH", head, 22 if size == 12 else 26)
    fits = size in _BMP_HEADERS and pixels >= 14 + size and planes == 1 and bits in _BMP_BITS
    return "bmp" if fits else None


def _lost(content: bytes) -> str | None:
    """Name what a disk or a copy leaves where a file was never written."""
    for byte, called in ((b"\x00", "zero bytes"), (b"\xff", "0xFF bytes")):
        if content.startswith(byte) and content.count(byte) == len(content):
            return f"only {called}: the file was never written whole"
    if len(content) > HEAD_BYTES and not any(content[:HEAD_BYTES]):
        return "begins with zero bytes: its beginning was never written"
    return None


def _text_kind(content: bytes) -> str | None:
    if _NETPBM.match(content[:HEAD_BYTES]):
        return "netpbm"
    if not is_text(content):
        return None
    head = content[:HEAD_BYTES].removeprefix(codecs.BOM_UTF8)
    if head.startswith(b"%PDF-"):
        return "pdf"
    if head.startswith((b"version https://git-lfs.", b"version https://hawser.")):
        return "git lfs pointer: the file itself was not fetched"
    if _ANNEX.match(head):
        return "git-annex pointer: the file itself was not fetched"
    if _HTML.match(head):
        return "html"
    if re.search(rb"<svg[\s>]", head):
        return "svg"
    return "xml" if head.lstrip().startswith(b"<?xml") else "text"


def _other_kind(content: bytes) -> str | None:
    if content[128:132] == b"DICM":
        return "directory of dicom files" if _DICOM_DIRECTORY in content[:HEAD_BYTES] else "dicom"
    if content[:4] == b"RIFF" and content[8:12] == b"AVI ":
        return "video"
    if content[:4] == b"RIFF" and content[8:12] == b"WAVE":
        return "sound"
    if content[4:8] in _VIDEO_BOXES:
        return "video"
    if content[257:262] == b"ustar":
        return "tar"
    return _by_start(content, _OTHERS)
