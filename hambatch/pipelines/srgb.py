"""Pixels as sRGB, the colours that the engine was trained on, by LittleCMS.

Only in a process that may crash: a profile is a program of tables that anybody can write.

Colours keep their appearance relative to white (relative colorimetric intent): sRGB's gamut keeps
its colours as they are, where the perceptual tables of a profile would move all of them, each
maker's to his own taste. Black point compensation keeps the dark parts of a picture apart whose
profile, as a printer's, has a lighter black.
"""

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, features

from hambatch.pipelines.colour_profile import MOST_BYTES, UnusableProfile, profile_of
from hambatch.pipelines.formats.table import format_of
from hambatch.system.files import sha256_of_bytes

LARGEST_CHANGE = 3
"""Levels of 255 by which a profile that acts as sRGB may change a colour; GPU and CPU decoders
differ by as many."""

VERDICTS_AT_MOST = 256

_VERDICTS: dict[str, bool] = {}

_CLASSES = frozenset({b"mntr", b"scnr", b"prtr", b"spac"})
_MODES = {b"RGB ": "RGB", b"GRAY": "L", b"CMYK": "CMYK"}


def foreign_profile(content: bytes) -> bytes:
    """Give the profile of a file whose pixels are not sRGB as they are stored, else nothing.

    Raises UnusableProfile if what its colours mean is unknown.
    """
    other = format_of(content)
    return unless_srgb(other.profile(content) if other else profile_of(content))


def unless_srgb(profile: bytes) -> bytes:
    """Give a profile back unless it acts as sRGB, or is empty.

    Raises UnusableProfile if what its colours mean is unknown.
    """
    if not profile:
        return b""
    _check(profile)
    return b"" if acts_as_srgb(profile) else profile


def says_srgb(content: bytes) -> bool:
    """Tell whether the stored pixels are sRGB, as far as the file says what they are."""
    try:
        return not foreign_profile(content)
    except UnusableProfile:
        return False


def acts_as_srgb(profile: bytes) -> bool:
    """Tell whether a profile changes no colour, by what it does: there are dozens of sRGB.

    Verdicts are kept, by the hash of the profile. Raises UnusableProfile.
    """
    key = sha256_of_bytes(profile)
    if key not in _VERDICTS:
        verdict = profile[16:20] == b"RGB " and _largest_change(profile) <= LARGEST_CHANGE
        if len(_VERDICTS) >= VERDICTS_AT_MOST:
            _VERDICTS.clear()
        _VERDICTS[key] = verdict
    return _VERDICTS[key]


def _largest_change(profile: bytes) -> int:
    """Convert all greys and a grid of 9 x 9 x 9 colours."""
    levels = np.array([*range(0, 256, 32), 255], np.uint8)
    grid = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(1, -1, 3)
    greys = np.repeat(np.arange(256, dtype=np.uint8), 3).reshape(1, -1, 3)
    colours = np.concatenate([grid, greys], axis=1)
    after = _converted(Image.fromarray(colours), profile, "RGB")
    return int(np.abs(after.astype(int) - colours).max())


def rgb_pixels(image: Image.Image, profile: bytes = b"") -> NDArray[np.uint8]:
    """Give uint8 RGB ``[height, width, 3]``; alpha is dropped, a profile is applied.

    Raises UnusableProfile if the profile is broken, or one of other channels.
    """
    if not profile:
        return _as_stored(image)
    mode = _MODES.get(profile[16:20], "")
    # RGB tables apply to grey and palette images as well, a grey table to greys alone.
    if not _fits(image, mode):
        space = profile[16:20].decode("ascii", "replace").strip()
        raise UnusableProfile(f"colour profile of {space!r} on an image of {image.mode!r}")
    if mode == "CMYK":
        return _converted(image, profile, mode)
    pixels = _as_stored(image)
    stored = Image.fromarray(pixels if mode == "RGB" else np.ascontiguousarray(pixels[..., 0]))
    return _converted(stored, profile, mode)


def _fits(image: Image.Image, mode: str) -> bool:
    if mode == "L" and image.mode in ("P", "PA", "RGB", "RGBA"):
        # Programs that make files smaller put greys into a palette and keep their profile.
        pixels = _as_stored(image)
        return bool((pixels == pixels[..., :1]).all())
    return bool(mode) and (mode == "CMYK") == (image.mode == "CMYK")


def _as_stored(image: Image.Image) -> NDArray[np.uint8]:
    if image.mode.startswith("I;16"):
        # `convert` would clip at 255, not scale.
        grey = np.rint(np.asarray(image, np.float32) / 257).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
    # Without `convert` where possible: each copy of 100 megapixels is 0.4 GB.
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))


def _converted(image: Image.Image, profile: bytes, mode: str) -> NDArray[np.uint8]:
    try:
        found = ImageCms.applyTransform(image, _transform(profile, mode))
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UnusableProfile(f"colour profile cannot be used: {reason}") from error
    return np.asarray(found)


def _transform(profile: bytes, mode: str) -> Any:
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    return ImageCms.buildTransform(
        source,
        ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")),
        mode,
        "RGB",
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )


def _check(profile: bytes) -> None:
    """Refuse what LittleCMS would take for a profile of images, or would read beyond its end."""
    if len(profile) > MOST_BYTES:
        found = f"larger than {MOST_BYTES / 1e6:g} MB"
    elif len(profile) < 132 or int.from_bytes(profile[:4]) > len(profile):
        found = f"cut off: {len(profile)} bytes"
    elif profile[12:16] not in _CLASSES:
        found = f"of the class {profile[12:16].decode('ascii', 'replace')!r}"
    elif not features.check("littlecms2"):
        found = "there, but this Pillow has no LittleCMS (pip install --force-reinstall pillow)"
    else:
        return
    raise UnusableProfile(f"colour profile cannot be used: it is {found}")
