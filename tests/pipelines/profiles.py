"""ICC profiles and colour chunks, written by hand, and pictures that carry them."""

import struct
import zlib

import numpy as np
from PIL import Image, ImageCms

from tests.pipelines.odd import as_png, chunk

COLORANTS = {
    "Display P3": (
        (0.51512, 0.24120, -0.00105),
        (0.29198, 0.69225, 0.04189),
        (0.1571, 0.0666, 0.7841),
    ),
    "Adobe RGB": (
        (0.60974, 0.31111, 0.01947),
        (0.20528, 0.62567, 0.06087),
        (0.14919, 0.06322, 0.74457),
    ),
    "sRGB": ((0.43607, 0.22249, 0.01392), (0.38515, 0.71687, 0.09708), (0.14307, 0.06061, 0.7141)),
}
"""XYZ of red, green and blue, adapted to D50, as the published profiles have them."""

PRIMARIES = {
    "Display P3": (0.3127, 0.329, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06),
    "Adobe RGB": (0.3127, 0.329, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06),
    "sRGB": (0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06),
}
"""x and y of white, red, green and blue."""

GAMMA = {"Adobe RGB": 563 / 256}
"""sRGB's curve where there is none."""


def fixed(*numbers: float) -> bytes:
    return b"".join(struct.pack(">i", round(number * 65_536)) for number in numbers)


def sRGB_curve(value: np.ndarray) -> np.ndarray:
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def curve(gamma: float) -> bytes:
    """SRGB's as a table of 1024 values, or one exponent, as version 2 has them."""
    if gamma:
        return b"curv" + struct.pack(">4xIHxx", 1, round(gamma * 256))
    table = np.rint(sRGB_curve(np.linspace(0, 1, 1024)) * 65_535).astype(">u2").tobytes()
    return b"curv" + struct.pack(">4xI", 1024) + table


def written(space: bytes, tags: dict[bytes, bytes], size: int | None = None) -> bytes:
    table, data, start = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
    for name, value in tags.items():
        table += name + struct.pack(">II", start + len(data), len(value))
        data += value.ljust(-(-len(value) // 4) * 4, b"\0")
    whole = start + len(data) if size is None else size
    head = struct.pack(">I4xI4s4s4s", whole, 0x02400000, b"mntr", space, b"XYZ ")
    head += bytes(12) + b"acsp" + bytes(28) + fixed(0.9642, 1, 0.8249)
    return head.ljust(128, b"\0") + table + data


def profile(name: str, padding: int = 0) -> bytes:
    """A profile of version 2 with three primaries and one curve; ``padding`` makes it longer."""
    tags = {b"none": b"data" + bytes(padding)} if padding else {}
    tags |= {b"wtpt": b"XYZ \0\0\0\0" + fixed(0.9642, 1, 0.8249)}
    for letter, xyz in zip((b"r", b"g", b"b"), COLORANTS[name], strict=True):
        tags[letter + b"XYZ"] = b"XYZ \0\0\0\0" + fixed(*xyz)
        tags[letter + b"TRC"] = curve(GAMMA.get(name, 0))
    return written(b"RGB ", tags)


def grey_profile(gamma: float) -> bytes:
    white = b"XYZ \0\0\0\0" + fixed(0.9642, 1, 0.8249)
    return written(b"GRAY", {b"wtpt": white, b"kTRC": curve(gamma)})


def in_colours_of(image: Image.Image, name: str) -> Image.Image:
    """The same picture as the numbers of another colour space: by arithmetic, not by LittleCMS."""
    to_xyz = {space: np.array(xyz).T for space, xyz in COLORANTS.items()}
    linear = sRGB_curve(np.asarray(image) / 255) @ to_xyz["sRGB"].T @ np.linalg.inv(to_xyz[name]).T
    linear = linear.clip(0, 1)
    if name in GAMMA:
        values = linear ** (1 / GAMMA[name])
    else:
        values = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return Image.fromarray(np.rint(values * 255).astype(np.uint8))


def srgb_of_littlecms() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def png_with(image: Image.Image, *chunks: bytes) -> bytes:
    """A PNG with more chunks before its pixels."""
    plain = as_png(image)
    return plain[:33] + b"".join(chunks) + plain[33:]


def embedded(profile_bytes: bytes) -> bytes:
    return chunk(b"iCCP", b"x\0\0" + zlib.compress(profile_bytes))


def measured(gamma: float, primaries: tuple[float, ...]) -> bytes:
    """The chunks gAMA and cHRM."""
    points = struct.pack(">8I", *(round(one * 100_000) for one in primaries))
    return chunk(b"gAMA", struct.pack(">I", round(gamma * 100_000))) + chunk(b"cHRM", points)


def camera_exif(space: int, index: str = "") -> bytes:
    """EXIF with a ColorSpace and an index of interoperability."""
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA001] = space
    if index:
        exif.get_ifd(0x8769)[0xA005] = {1: index}
    return exif.tobytes()
