"""What kind of file this is, by its first bytes; its name is only a hint."""

from pathlib import PurePosixPath

HEAD_BYTES = 16
"""How many bytes :func:`image_format` wants to see."""

_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff", "jpeg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"BM", "bmp"),
    (b"II*\x00", "tiff"),
    (b"MM\x00*", "tiff"),
    (b"\x00\x00\x00\x0cjP  ", "jpeg2000"),
    (b"\xff\x4f\xff\x51", "jpeg2000"),
)

SUPPORTED = frozenset({"jpeg", "png"})

_IMAGE_SUFFIXES = frozenset(
    ".jpg .jpeg .jpe .jfif .png .gif .bmp .tif .tiff .webp .jp2 .j2k .mpo .ppm .pgm".split()
)


def image_format(head: bytes) -> str | None:
    """Name the image format of a file's first bytes, or None."""
    for signature, name in _SIGNATURES:
        if head.startswith(signature):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    return None


def named_like_an_image(name: str) -> bool:
    """Tell whether the suffix promises an image, so that it deserves a row."""
    return PurePosixPath(name).suffix.lower() in _IMAGE_SUFFIXES
