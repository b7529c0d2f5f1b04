"""One picture in every format, lossless where the format can be."""

import io
from collections.abc import Callable
from functools import partial
from typing import Any

from PIL import Image

from hambatch.pipelines.slow_lane import Salvaged, SlowLane
from hambatch.sources.reading import UNLIMITED, Fetched, Limits
from hambatch.types import Failure
from tests.faults.bmp_absences import run_lengths
from tests.faults.heif_absences import heic
from tests.faults.tiff_writing import plain
from tests.pipelines.lanes import HOW, SPEC
from tests.pipelines.odd import picture

Encode = Callable[[Image.Image], bytes]


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    """Write a file the way Pillow does."""
    stream = io.BytesIO()
    image.save(stream, format=kind, **options)
    return stream.getvalue()


PICTURE = picture(7, 130, 94)
FEW = PICTURE.quantize(200)
"""The same in 200 colours."""

IN_A_PALETTE = FEW.convert("RGB")

LOSSLESS: dict[str, tuple[Image.Image, bytes]] = {
    "lossless.webp": (PICTURE, saved(PICTURE, "WEBP", lossless=True)),
    "strips.tif": (PICTURE, saved(PICTURE, "TIFF", tiffinfo={278: 16})),
    "lzw.tif": (PICTURE, saved(PICTURE, "TIFF", compression="tiff_lzw")),
    "deflated.tif": (PICTURE, saved(PICTURE, "TIFF", compression="tiff_adobe_deflate")),
    "packed.tif": (PICTURE, saved(PICTURE, "TIFF", compression="packbits")),
    "tiles.tif": (PICTURE, plain(PICTURE, tile=48)),
    "deflated tiles.tif": (PICTURE, plain(PICTURE, tile=64, deflated=True)),
    "planes.tif": (PICTURE, plain(PICTURE, separate=True)),
    "deflated planes, big-endian.tif": (
        PICTURE,
        plain(PICTURE, separate=True, deflated=True, order=">"),
    ),
    "16 bits.tif": (PICTURE, plain(PICTURE, bits=16)),
    "large offsets.tif": (PICTURE, saved(PICTURE, "TIFF", big_tiff=True)),
    "palette.tif": (IN_A_PALETTE, saved(FEW, "TIFF", compression="tiff_lzw")),
    "alpha.tif": (PICTURE, saved(PICTURE.convert("RGBA"), "TIFF", compression="tiff_lzw")),
    "24 bits.bmp": (PICTURE, saved(PICTURE, "BMP")),
    "32 bits.bmp": (PICTURE, saved(PICTURE.convert("RGBA"), "BMP")),
    "palette.bmp": (IN_A_PALETTE, saved(FEW, "BMP")),
    "run lengths.bmp": (PICTURE.quantize(24).convert("RGB"), run_lengths(PICTURE)),
    "palette.gif": (IN_A_PALETTE, saved(FEW, "GIF")),
    "interlaced.gif": (IN_A_PALETTE, saved(FEW, "GIF", interlace=1)),
    "first of two.gif": (
        IN_A_PALETTE,
        saved(FEW, "GIF", save_all=True, append_images=[FEW.rotate(180)]),
    ),
    "lossless.jp2": (PICTURE, saved(PICTURE, "JPEG2000")),
    "tiles.j2k": (PICTURE, saved(PICTURE, "JPEG2000", no_jp2=True, tile_size=(64, 64))),
}
"""What a file holds, and the file."""

LOSSY: dict[str, Encode] = {
    "lossy.webp": partial(saved, kind="WEBP", quality=95),
    "jpeg.tif": partial(saved, kind="TIFF", compression="jpeg", quality=95),
    "lossy.jp2": partial(
        saved, kind="JPEG2000", irreversible=True, quality_mode="dB", quality_layers=[45]
    ),
    "phone.avif": partial(saved, kind="AVIF", quality=95, subsampling="4:4:4"),
    "phone.heic": partial(heic, quality=95, chroma=444),
    "tiles.heic": partial(heic, quality=95, chroma=444, tile_size=64),
}


def outcome(content: bytes, limits: Limits = UNLIMITED, *, dali: bool = True) -> Salvaged | Failure:
    """What the slow lane makes of a file."""
    return SlowLane(SPEC, HOW, limits, with_dali=dali).decode(Fetched(5, content, "hash"))


def reason(content: bytes, limits: Limits = UNLIMITED) -> str:
    """Why a file is not decoded, in a line."""
    found = outcome(content, limits)
    assert isinstance(found, Failure), found[1]
    assert "\n" not in found.reason
    return found.reason
