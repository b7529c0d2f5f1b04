"""Pixels of DICOM frames that are no JPEG of 8 bits, by pydicom and the decoders that it uses."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hambatch.pipelines.dicom import colours, jpeg2000, lossless
from hambatch.pipelines.dicom.colours import RGB, YBR
from hambatch.pipelines.dicom.elements import refusing
from hambatch.pipelines.dicom.frames import check_native, encoded_frame, place_of
from hambatch.pipelines.dicom.image import DicomImage, parsed
from hambatch.pipelines.dicom.palette import coloured
from hambatch.pipelines.dicom.syntaxes import JPEG_2000, NATIVE, PLUGINS, RLE, named
from hambatch.pipelines.pillow_lane import Pixels, UndecodableImage
from hambatch.pipelines.srgb import rgb_pixels, unless_srgb
from hambatch.sources.reading import Limits
from hambatch.system.shortages import refuse_without_room

Samples = NDArray[np.unsignedinteger]


def decoded(content: bytes, frame: int, limits: Limits) -> tuple[Pixels, str]:
    """Decode a DICOM file at full size: uint8 RGB ``[height, width, 3]``, and who decoded it.

    ``frame`` is that of :class:`hambatch.sources.reading.Fetched`. Raises UndecodableImage and
    UnusableProfile.
    """
    image = parsed(content, limits, frame)
    pixels = _in_rgb(image, frame)
    profile = unless_srgb(image.profile)
    if not profile:
        return pixels, "pydicom"
    return rgb_pixels(Image.fromarray(pixels), profile), "pydicom-icc"


def _in_rgb(image: DicomImage, frame: int) -> Pixels:
    if image.syntax in NATIVE:
        check_native(image)
        meant = ""
        samples = _native(image, place_of(image, frame))
    else:
        samples, meant = _encapsulated(image, frame)
    if image.samples == 1:
        return coloured(samples, image)
    return _converted(_eight_bits(samples, image.stored), image, meant)


def _encapsulated(image: DicomImage, frame: int) -> tuple[Samples, str]:
    """Decode a frame; also gives what its codestream says that its samples are, if anything."""
    if image.syntax not in PLUGINS:
        raise UndecodableImage(f"DICOM in {named(image.syntax)} is not supported")
    encoded, meant = encoded_frame(image, frame), ""
    if image.syntax in RLE:
        lossless.check_rle(encoded, image)
    elif image.syntax in JPEG_2000:
        encoded = jpeg2000.codestream_of(encoded)
        found = jpeg2000.checked(encoded, image)
        meant = RGB if found.colours_transformed else ""
    else:
        lossless.check_jpeg(encoded, image)
    return _by_plugin(image, encoded), meant


def _native(image: DicomImage, place: int) -> Samples:
    with refusing("damaged: the pixels of the DICOM cannot be read"):
        return _array(image, image.pixels, place, number_of_frames=image.frames)


def _by_plugin(image: DicomImage, encoded: bytes) -> Samples:
    from pydicom.encaps import encapsulate
    from pydicom.pixels.decoders.base import get_decoder

    plugin, package, name = PLUGINS[image.syntax]
    if plugin not in get_decoder(image.syntax).available_plugins:
        raise UndecodableImage(f"DICOM in {name} needs {package}: pip install 'hambatch[dicom]'")
    try:
        with refusing(f"cannot be decoded: {name} of the DICOM"):
            return _array(image, encapsulate([encoded]), 0, decoding_plugin=plugin)
    except UndecodableImage:
        refuse_without_room(image.rows * image.columns)
        raise


def _array(image: DicomImage, pixels: bytes, place: int, **options: Any) -> Samples:
    from pydicom.pixels.decoders.base import get_decoder

    said: dict[str, Any] = {
        "pixel_keyword": "PixelData",
        "pixel_vr": image.pixel_vr,
        "rows": image.rows,
        "columns": image.columns,
        "samples_per_pixel": image.samples,
        # A codestream says itself how its samples lie; a header that says otherwise is left over.
        "planar_configuration": image.planar if image.syntax in NATIVE else 0,
        "photometric_interpretation": image.photometric,
        "bits_allocated": image.allocated,
        "bits_stored": image.stored,
        "pixel_representation": 0,
        "number_of_frames": 1,
    }
    found, _ = get_decoder(image.syntax).as_array(pixels, index=place, raw=True, **said | options)
    return np.asarray(found)


def _eight_bits(samples: Samples, stored: int) -> Pixels:
    """Scale samples of other than 8 bits, as for a PNG: by 255 / (2 ** stored - 1)."""
    if stored == 8:
        return np.ascontiguousarray(samples.astype(np.uint8, copy=False))
    table = np.rint(np.arange(1 << stored) * 255 / ((1 << stored) - 1)).astype(np.uint8)
    # Bits above those that are stored mean nothing.
    scaled: Pixels = table[samples & ((1 << stored) - 1)]
    return scaled


def _converted(pixels: Pixels, image: DicomImage, meant: str) -> Pixels:
    """Give RGB, whatever the samples are; ``meant`` is what the codestream says of them."""
    said = RGB if image.photometric == "RGB" else YBR
    if image.photometric in ("YBR_ICT", "YBR_RCT") and image.syntax in JPEG_2000:
        # These say that the codestream transforms the colours, and are nothing it can be without.
        said = RGB if meant else ""
    if (meant and said == YBR) or not said:
        raise UndecodableImage(
            "DICOM whose colours are ambiguous: its header and its JPEG 2000 contradict each other"
        )
    samples = Image.fromarray(pixels)
    if not meant:
        colours.check(samples, said)
    if said == RGB:
        return pixels
    planes = [Image.fromarray(np.ascontiguousarray(pixels[..., k])) for k in range(3)]
    return np.asarray(Image.merge("YCbCr", planes).convert("RGB"))
