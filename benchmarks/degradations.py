"""Ways in which a dermatoscopic image gets worse, each in several strengths, drawn from a seed."""

import io
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

Pixels = NDArray[np.uint8]
"""RGB ``[height, width, 3]``."""

Degrade = Callable[[Pixels, float, np.random.Generator], Pixels]


def blur(image: Pixels, strength: float, _: np.random.Generator) -> Pixels:
    """Blur by a Gaussian; its standard deviation in thousandths of the side."""
    deviation = strength * _side(image) / 1000
    return np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(deviation)))


def motion(image: Pixels, strength: float, rng: np.random.Generator) -> Pixels:
    """Blur along a line; its length in thousandths of the side."""
    count = max(int(strength * _side(image) / 1000), 1)
    angle = rng.uniform(0, np.pi)
    total = np.zeros(image.shape, np.float64)
    for k in range(count):
        dx, dy = (round((k - count / 2) * f(angle)) for f in (np.cos, np.sin))
        total += np.roll(image, (dy, dx), axis=(0, 1))
    return _pixels(total / count)


def dark(image: Pixels, strength: float, _: np.random.Generator) -> Pixels:
    """Multiply all values by a factor below 1."""
    return _pixels(image * strength)


def bright(image: Pixels, strength: float, _: np.random.Generator) -> Pixels:
    """Multiply all values by a factor above 1: highlights are lost."""
    return _pixels(image * strength)


def faded(image: Pixels, strength: float, _: np.random.Generator) -> Pixels:
    """Keep this share of the contrast, about a light grey as of fog on the lens."""
    return _pixels(190 + (image - 190.0) * strength)


def cast(image: Pixels, strength: float, rng: np.random.Generator) -> Pixels:
    """Multiply one channel by a factor above 1 and another by its inverse."""
    up, down = rng.permutation(3)[:2]
    factors = np.ones(3)
    factors[up], factors[down] = strength, 1 / strength
    return _pixels(image * factors)


def grey(image: Pixels, strength: float, _: np.random.Generator) -> Pixels:
    """Take this share of the colour out."""
    mean = image.mean(axis=2, keepdims=True)
    return _pixels(mean * strength + image * (1 - strength))


def grain(image: Pixels, strength: float, rng: np.random.Generator) -> Pixels:
    """Add noise of this standard deviation in grey values."""
    return _pixels(image + rng.normal(0, strength, image.shape))


def compressed(image: Pixels, strength: float, _: np.random.Generator) -> Pixels:
    """Compress as JPEG of this quality."""
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "jpeg", quality=int(strength))
    return np.asarray(Image.open(stream))


def small(image: Pixels, strength: float, _: np.random.Generator) -> Pixels:
    """Shrink to so many pixels a side, as a thumbnail."""
    side = int(strength)
    return np.asarray(Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC))


def covered(image: Pixels, strength: float, rng: np.random.Generator) -> Pixels:
    """Cover this share of the area with a thumb: a dark blot from a corner."""
    height, width = image.shape[:2]
    copy = Image.fromarray(image)
    radius = (strength * width * height * 4 / np.pi) ** 0.5
    x, y = rng.choice([0, width]), rng.choice([0, height])
    box = [x - radius, y - radius, x + radius, y + radius]
    ImageDraw.Draw(copy).ellipse(box, fill=tuple(int(v) for v in rng.integers(20, 90, 3)))
    return np.asarray(copy)


def vignette(image: Pixels, strength: float, _: np.random.Generator) -> Pixels:
    """Leave a disc of this share of the half side, black outside."""
    height, width = image.shape[:2]
    y, x = np.mgrid[:height, :width]
    far = np.hypot(x - width / 2, y - height / 2) > strength * min(height, width) / 2
    copy = image.copy()
    copy[far] = 6
    return copy


def swapped(image: Pixels, _: float, rng: np.random.Generator) -> Pixels:
    """Swap the channels: blue for red, or in a circle."""
    orders = ([2, 1, 0], [1, 2, 0], [2, 0, 1], [1, 0, 2])
    return np.ascontiguousarray(image[..., orders[int(rng.integers(len(orders)))]])


def defocus(image: Pixels, strength: float, _: np.random.Generator) -> Pixels:
    """Blur by a disc, as a lens does; its radius in thousandths of the side."""
    radius = max(int(strength * _side(image) / 1000), 1)
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    places = np.argwhere(np.hypot(x, y) <= radius) - radius
    padded = np.pad(image, ((radius, radius), (radius, radius), (0, 0)), mode="edge")
    height, width = image.shape[:2]
    total = np.zeros(image.shape, np.float64)
    for down, across in places:
        top, left = radius + down, radius + across
        total += padded[top : top + height, left : left + width]
    return _pixels(total / len(places))


def gamma(image: Pixels, strength: float, _: np.random.Generator) -> Pixels:
    """Darken the middle tones: values to this power."""
    return _pixels(255 * (image / 255.0) ** strength)


def flash(image: Pixels, strength: float, rng: np.random.Generator) -> Pixels:
    """Add a reflection of the flash; its radius as a share of the side."""
    height, width = image.shape[:2]
    y, x = np.mgrid[:height, :width]
    at = rng.uniform(0.3, 0.7, 2)
    far = np.hypot(x - at[0] * width, y - at[1] * height) / (strength * _side(image))
    share = np.clip(1.4 - far, 0, 1)[..., None]
    return _pixels(image * (1 - share) + 255 * share)


def smear(image: Pixels, strength: float, rng: np.random.Generator) -> Pixels:
    """Blur this share of the area, as grease on the lens does, with soft edges."""
    height, width = image.shape[:2]
    y, x = np.mgrid[:height, :width]
    at, radius = rng.uniform(0.3, 0.7, 2), (strength / np.pi) ** 0.5
    far = np.hypot(x / width - at[0], y / height - at[1]) / radius
    share = np.clip(2 * (1.2 - far), 0, 1)[..., None]
    blurred = Image.fromarray(image).filter(ImageFilter.GaussianBlur(0.03 * _side(image)))
    return _pixels(image * (1 - share) + np.asarray(blurred) * share)


def half_frame(image: Pixels, strength: float, _: np.random.Generator) -> Pixels:
    """Lose the lower part of the frame, this share of it: grey."""
    copy = image.copy()
    copy[int(image.shape[0] * (1 - strength)) :] = 128
    return copy


def posterised(image: Pixels, strength: float, _: np.random.Generator) -> Pixels:
    """Keep so many values of each channel."""
    levels = strength - 1
    return _pixels(np.round(image / 255.0 * levels) / levels * 255)


def double_exposure(image: Pixels, strength: float, _: np.random.Generator) -> Pixels:
    """Mix the image with itself upside down, this share of it."""
    return _pixels(image * (1 - strength) + image[::-1, ::-1] * strength)


def lines(image: Pixels, strength: float, rng: np.random.Generator) -> Pixels:
    """Replace this share of the rows by noise, as a bad cable does."""
    copy = image.copy()
    bad = rng.random(image.shape[0]) < strength
    copy[bad] = rng.integers(0, 256, (int(bad.sum()), *image.shape[1:]), dtype=np.uint8)
    return copy


KINDS: dict[str, tuple[Degrade, tuple[float, ...]]] = {
    "blur": (blur, (5, 10, 20, 40)),
    "motion": (motion, (20, 50, 100)),
    "dark": (dark, (0.6, 0.45, 0.3, 0.15)),
    "bright": (bright, (1.3, 1.6, 2.2)),
    "faded": (faded, (0.6, 0.35, 0.15)),
    "cast": (cast, (1.25, 1.6, 2.2)),
    "grey": (grey, (0.7, 1.0)),
    "grain": (grain, (12, 30, 60)),
    "compressed": (compressed, (30, 12, 4)),
    "small": (small, (112, 64, 32)),
    "covered": (covered, (0.1, 0.25, 0.5)),
    "vignette": (vignette, (0.9, 0.6, 0.35)),
    "swapped": (swapped, (1.0,)),
}
"""Each kind with its strengths, the weakest first."""

LATER: dict[str, tuple[Degrade, tuple[float, ...]]] = {
    "defocus": (defocus, (10, 20, 40)),
    "gamma": (gamma, (1.6, 2.4, 3.6)),
    "flash": (flash, (0.1, 0.25)),
    "smear": (smear, (0.2, 0.5)),
    "half_frame": (half_frame, (0.25, 0.5)),
    "posterised": (posterised, (8, 4)),
    "double_exposure": (double_exposure, (0.25, 0.5)),
    "lines": (lines, (0.02, 0.1)),
}
"""Written when all measures and limits of the image checks were there, and before they had been
tried on any of them: they chose nothing."""


def _side(image: Pixels) -> float:
    return float((image.shape[0] * image.shape[1]) ** 0.5)


def _pixels(values: NDArray[np.floating]) -> Pixels:
    return np.clip(np.round(values), 0, 255).astype(np.uint8)
