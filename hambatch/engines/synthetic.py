"""Synthetic dermatoscopic images: samples to try, and sentinels of engines without their own."""

import io
import math
import shlex
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter
from tqdm import tqdm

from hambatch.engines.options import SampleOptions
from hambatch.errors import InputError
from hambatch.system.files import write_bytes

Plane = NDArray[np.float32]


# Mean colours of skin and of pigment, judged by eye against HAM10000.
SKIN = ((232, 176, 168), (214, 186, 190), (236, 158, 150), (205, 190, 205), (222, 184, 160))
PIGMENT = ((120, 72, 44), (150, 84, 60), (84, 48, 38), (168, 90, 84), (112, 70, 56))
CORE = ((56, 34, 34), (70, 42, 32), (92, 96, 122), (110, 42, 44), (46, 30, 36))


def synthesize(rng: np.random.Generator, width: int, height: int) -> NDArray[np.uint8]:
    """Draw one synthetic dermatoscopic photograph, RGB, of a size in pixels.

    The same state of ``rng`` gives the same pixels, uint8 ``[height, width, 3]``.
    """
    light = _skin(rng, width, height)
    _add_lesion(rng, light)
    _add_hairs(rng, light)
    if rng.random() < 0.3:
        _add_bubbles(rng, light)
    _add_vignette(rng, light)
    light += 0.006 * rng.standard_normal((height, width, 1), dtype=np.float32)
    pixels: NDArray[np.uint8] = (np.clip(light, 0, 1) * 255 + 0.5).astype(np.uint8)
    return pixels


def _cloud(rng: np.random.Generator, width: int, height: int, cells: float, octaves: int) -> Plane:
    """Fractal noise, ``[height, width]``, mean 0, deviation about 1.

    The first octave has ``cells`` bumps along the short side; each further one
    is twice as fine and 0.55 times as strong. Octaves add up on their own
    small grids, so that only the last resize has the full size.
    """
    cell = max(min(width, height) / cells, 1)
    columns, rows = int(width / cell) + 2, int(height / cell) + 2
    total = np.zeros((rows, columns), np.float32)
    for octave in range(octaves):
        total = _resize(total, columns * 2**octave, rows * 2**octave)
        total += np.float32(0.55**octave) * rng.standard_normal(total.shape, np.float32)
    return _resize(total, width, height)


def _resize(plane: Plane, width: int, height: int) -> Plane:
    resized = Image.fromarray(plane).resize((width, height), Image.Resampling.BICUBIC)
    return np.array(resized, np.float32)


def _step(value: Plane) -> Plane:
    """Logistic step from 0 to 1; tanh, unlike exp, never overflows."""
    return np.asarray(0.5 + 0.5 * np.tanh(value / 2), np.float32)


def _colour(rng: np.random.Generator, palette: tuple[tuple[int, int, int], ...]) -> Plane:
    """One colour of a palette, slightly varied; float32 ``[3]`` in 0..1."""
    chosen = np.array(palette[rng.integers(len(palette))], np.float32) / 255
    return np.asarray(chosen * rng.normal(1, 0.025, 3), np.float32)


def _skin(rng: np.random.Generator, width: int, height: int) -> Plane:
    """Background with blotches, redness and fine furrows; float32 ``[height, width, 3]``."""
    light = np.empty((height, width, 3), np.float32)
    light[:] = _colour(rng, SKIN)
    light *= (1 + 0.04 * _cloud(rng, width, height, 3, 6))[..., None]
    redness = np.clip(_cloud(rng, width, height, 4, 4), 0, None)
    light *= 1 - redness[..., None] * np.array([0.01, 0.05, 0.045], np.float32)
    # Furrows and small vessels follow the zero lines of a smooth field.
    furrows = np.exp(-((_cloud(rng, width, height, 12, 4) / 0.12) ** 2))
    patches = np.clip(0.6 + _cloud(rng, width, height, 4, 1), 0, 1.2)
    strength = rng.uniform(0.1, 0.6) * furrows * patches
    light *= 1 - strength[..., None] * np.array([0.06, 0.13, 0.12], np.float32)
    return light


def _add_lesion(rng: np.random.Generator, light: Plane) -> None:
    """Absorb light where pigment lies: body, darker cores, network and dots."""
    height, width = light.shape[:2]
    inside = _lesion_depth(rng, width, height)
    mask = _step(inside * rng.uniform(9, 30))
    body = _cloud(rng, width, height, 4, 6)
    grain = _cloud(rng, width, height, rng.uniform(35, 70), 2)
    network = np.exp(-((_cloud(rng, width, height, rng.uniform(40, 60), 2) / 0.3) ** 2))
    density = mask * rng.uniform(0.5, 1.1) * np.clip(1 + 0.35 * body + 0.12 * grain, 0.1, None)
    density *= 1 + rng.uniform(0, 0.6) * (network - 0.4)
    core = _step(3.5 * (_cloud(rng, width, height, 3, 5) + 2 * inside - 1.2))
    core *= mask * rng.uniform(0.2, 1)
    density *= 1 - 0.7 * core
    # Beer-Lambert: pigments multiply, so overlaps darken as in tissue.
    base = light.mean(axis=(0, 1))
    for amount, palette in ((density, PIGMENT), (core, CORE)):
        light *= np.power(_colour(rng, palette) / base, amount[..., None])


def _lesion_depth(rng: np.random.Generator, width: int, height: int) -> Plane:
    """Signed depth inside an irregular outline: 1 at the centre, 0 on it, < 0 outside."""
    side = min(width, height)
    x0, y0 = (float(rng.normal(0.5, 0.05)) * length for length in (width, height))
    y, x = np.ogrid[0:height, 0:width]
    x, y = (((x - x0) / side).astype(np.float32), ((y - y0) / side).astype(np.float32))
    tilt, stretch = rng.uniform(0, math.pi), rng.uniform(0.7, 1)
    along = (x * math.cos(tilt) + y * math.sin(tilt)) * stretch
    across = (y * math.cos(tilt) - x * math.sin(tilt)) / stretch
    turn = np.linspace(-math.pi, math.pi, 721)
    outline = np.full_like(turn, rng.uniform(0.16, 0.38))
    for lobe in range(2, 8):
        outline *= 1 + rng.normal(0, 0.16) / lobe * np.cos(lobe * turn + rng.uniform(0, 7))
    radius = np.interp(np.arctan2(across, along), turn, outline).astype(np.float32)
    rough = rng.uniform(0.05, 0.17) * _cloud(rng, width, height, 7, 5)
    return np.asarray(1 - np.hypot(along, across) / radius + rough, np.float32)


def _add_hairs(rng: np.random.Generator, light: Plane) -> None:
    """Draw up to 14 curved hairs, dark or pale, at twice the size for smooth edges."""
    height, width = light.shape[:2]
    side = 2 * min(width, height)
    cover = Image.new("L", (2 * width, 2 * height))
    draw = ImageDraw.Draw(cover)
    lean = rng.uniform(0, math.pi)
    t = np.linspace(0, 1, 40)[:, None]
    for _ in range(int(rng.choice([0, 0, 2, 5, 14]))):
        start = rng.uniform(0, 1, 2) * (2 * width, 2 * height)
        heading = lean + rng.normal(0, 0.5)
        reach = np.array([math.cos(heading), math.sin(heading)]) * side * rng.uniform(0.2, 0.9)
        bend = start + reach / 2 + rng.normal(0, 0.08, 2) * side
        curve = (1 - t) ** 2 * start + 2 * t * (1 - t) * bend + t**2 * (start + reach)
        thickness = max(1, round(side / 900 * rng.uniform(1.5, 5)))
        shade = int(rng.uniform(120, 230))
        draw.line([(float(x), float(y)) for x, y in curve], fill=shade, width=thickness)
    opacity = np.asarray(cover.resize((width, height), Image.Resampling.BOX), np.float32) / 255
    hair = (0.16, 0.1, 0.09) if rng.random() < 0.75 else (0.95, 0.85, 0.78)
    light += opacity[..., None] * (np.array(hair, np.float32) - light)


def _add_bubbles(rng: np.random.Generator, light: Plane) -> None:
    """Air bubbles in the contact gel: a faint dark rim and one bright glint each."""
    height, width = light.shape[:2]
    side = min(width, height)
    rims, glints = Image.new("L", (width, height)), Image.new("L", (width, height))
    for _ in range(rng.integers(2, 12)):
        x, y = rng.uniform(0, 1, 2) * (width, height)
        radius = side * min(0.008 * rng.pareto(1.5) + 0.006, 0.05)
        box = [float(v) for v in (x - radius, y - radius, x + radius, y + radius)]
        ImageDraw.Draw(rims).ellipse(box, outline=150, width=max(1, round(radius / 6)))
        ImageDraw.Draw(glints).arc(box, 190, 260, fill=255, width=max(1, round(radius / 5)))
    soft = ImageFilter.GaussianBlur(side / 500)
    light *= 1 - 0.45 * np.asarray(rims.filter(soft), np.float32)[..., None] / 255
    light += 0.5 * np.asarray(glints.filter(soft), np.float32)[..., None] / 255


def _add_vignette(rng: np.random.Generator, light: Plane) -> None:
    """Darken towards the corners; now and then the tube's black edge shows."""
    height, width = light.shape[:2]
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, width, dtype=np.float32)
    corner = (x**2 + y**2) / 2
    light *= (1 - rng.uniform(0.05, 0.45) * corner**1.5)[..., None]
    if rng.random() < 0.12:
        radius = np.hypot(x * width, y * height) / math.hypot(width, height)
        light *= _step(80 * (rng.uniform(0.82, 0.95) - radius))[..., None]


SIZES = ((600, 450), (450, 600), (1024, 768), (640, 480), (224, 224), (301, 467), (767, 1022))
SHARES = (0.7, 0.06, 0.06, 0.06, 0.04, 0.04, 0.04)
"""Width and height of samples, and how often each is drawn."""


def write_samples(folder: Path, options: SampleOptions) -> list[Path]:
    """Write ``sample_00000.jpg`` and so on; the folder then holds these and no other files.

    Image ``i`` depends on the seed and on ``i`` alone, so a larger ``count``
    only adds to a smaller one.

    Raises InputError if the folder cannot be created, or holds files that this call would
    not itself replace. Names that begin with a dot do not count.
    """
    paths = [folder / f"sample_{index:05d}.jpg" for index in range(options.count)]
    _claim(folder, {path.name for path in paths})
    for index, path in enumerate(tqdm(paths, unit=" images", disable=None)):
        rng = np.random.default_rng([options.seed, index])
        pixels = synthesize(rng, *SIZES[rng.choice(len(SIZES), p=SHARES)])
        _save(path, pixels, quality=int(rng.integers(75, 96)))
    return paths


def _claim(folder: Path, names: set[str]) -> None:
    """Create the folder, or make sure that only ``names`` lie in it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        found = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
    except OSError as error:
        raise InputError(
            f"cannot use {folder} as a folder: {error.strerror}; "
            "wanted a folder that exists or can be created.\n"
            "Next: hambatch samples ./samples"
        ) from error
    others = sorted(found - names)
    if others:
        beside = folder.parent / f"{folder.resolve().name or 'hambatch'}-samples"
        raise InputError(
            f"{folder} holds {len(others)} other files, the first {others[0]!r}; "
            f"wanted an empty folder, or one with the same {len(names)} samples.\n"
            f"Next: hambatch samples {shlex.quote(str(beside))} --count {len(names)}"
        )


SENTINELS = ((99, 252, 336), (41, 336, 252), (120, 336, 280), (26, 280, 210))
"""Seed, width and height of each.

The default engine calls these bcc, bkl, mel and nv, none with more than 0.65, so that a small
error moves their probabilities; chosen among 250 seeds by ``benchmarks/known_pictures.py``
(``benchmarks/results/known_pictures.json``).
Resized from these sizes, DALI and Pillow give the same pixels; from 320 x 240 one value in 400
differed by a grey level, and a probability by up to 0.0035."""


def write_sentinel_images(folder: Path) -> list[str]:
    """Write ``sentinel_0.jpg`` and so on; one that is there already stays as it is."""
    names = [f"sentinel_{number}.jpg" for number in range(len(SENTINELS))]
    for name, (seed, width, height) in zip(names, SENTINELS, strict=True):
        if not (folder / name).exists():
            write_sentinel_image(folder / name, seed, width, height)
    return names


def write_sentinel_image(path: Path, seed: int, width: int, height: int) -> None:
    """Draw one and write it as a JPEG, in place of what is there."""
    write_bytes(path, _sentinel(seed, width, height))


@cache
def drawn_sentinels() -> tuple[bytes, ...]:
    """Give the JPEGs that :func:`write_sentinel_images` writes."""
    return tuple(_sentinel(*sentinel) for sentinel in SENTINELS)


def _sentinel(seed: int, width: int, height: int) -> bytes:
    return jpeg_of(synthesize(np.random.default_rng(seed), width, height), quality=90)


def _save(path: Path, pixels: NDArray[np.uint8], quality: int) -> None:
    write_bytes(path, jpeg_of(pixels, quality))


def jpeg_of(pixels: NDArray[np.uint8], quality: int) -> bytes:
    """Compress a picture in memory.

    Pillow does not notice when a full disk takes only a part of the file that it writes.
    """
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format="JPEG", quality=quality)
    return stream.getvalue()
