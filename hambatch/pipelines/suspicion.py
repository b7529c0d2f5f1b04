"""A look at a file's header and ends: what could harm a DALI batch never enters one.

A suspect is not bad: it takes the slow lane. A regular header and the JPEG's
EOI or the PNG's IEND at the very end kept out every file of two corpora of
broken images that DALI 2.4 refused, at about 5 us a file.
"""

from hambatch.limits import Limits
from hambatch.pipelines.header import PNG_START, Header, read_header
from hambatch.sources.content import SUPPORTED, image_format

FAST_PIXELS = 16_000_000
"""Larger pictures are decoded one at a time; so many are 48 MB as RGB."""

_JPEG_END, _PNG_END = b"\xff\xd9", b"IEND\xaeB`\x82"

_USUAL_CODINGS = frozenset({0xC0, 0xC1, 0xC2})
_UNUSUAL_CODINGS = {
    **dict.fromkeys((0xC3, 0xC7, 0xCB, 0xCF), "lossless JPEG is"),
    **dict.fromkeys((0xC5, 0xC6, 0xCD, 0xCE), "hierarchical JPEG is"),
    **dict.fromkeys((0xC9, 0xCA), "JPEG with arithmetic coding is"),
}


def is_suspect(content: bytes, limits: Limits) -> bool:
    """Tell whether the file should be decoded alone, away from the batch, or not at all."""
    header = read_header(content)
    if header is None or header.odd_exif or header.pixels > FAST_PIXELS:
        return True
    return not _has_end(content) or bool(refusal_by_header(header, limits))


def is_cut_off(content: bytes) -> bool:
    """Tell whether the file begins as a picture and lacks its end."""
    return read_header(content) is not None and not _has_end(content)


def _has_end(content: bytes) -> bool:
    return content.endswith(_PNG_END if content.startswith(PNG_START) else _JPEG_END)


def refusal(content: bytes, limits: Limits) -> str:
    """Give the reason why nobody should try to decode the file, or an empty string."""
    if not content:
        return "empty file"
    found = image_format(content)
    if found not in SUPPORTED:
        return f"not a JPEG or PNG image ({found or 'unknown content'})"
    header = read_header(content)
    return refusal_by_header(header, limits) if header else ""


def refusal_by_header(header: Header, limits: Limits) -> str:
    """Give the reason to refuse what the header describes, or an empty string."""
    if not header.pixels:
        return f"the header says {header.width} x {header.height} pixels"
    if header.animated:
        return f"animated PNG of {header.animated} frames: which one is meant is unknown"
    if header.exifs > 1 and not header.coding:
        return f"PNG with {header.exifs} blocks of EXIF: which one is meant is unknown"
    if header.coding:
        reason = _refusal_of_jpeg(header)
        if reason:
            return reason
    return limits.too_many_pixels(header.width, header.height)


def _refusal_of_jpeg(header: Header) -> str:
    if header.coding not in _USUAL_CODINGS:
        return f"{_UNUSUAL_CODINGS[header.coding]} not supported"
    if header.bits != 8:
        return f"JPEG of {header.bits} bits a sample is not supported"
    if header.channels == 4 and not header.adobe:
        return "JPEG of four channels without Adobe's marker: its colours are ambiguous"
    if header.channels not in (1, 3, 4):
        return f"JPEG of {header.channels} channels is not supported"
    return ""
