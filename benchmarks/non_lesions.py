"""Pictures that are no dermatoscopic images, drawn from a seed: what an archive holds by mistake.

The kinds are those that a trial of hambatch found to be scored like lesions (a black frame,
noise, a drawn cat, a screenshot, a page of text, channels swapped, ...), and others of the same
sort. No picture of another work is part of it; photographs come from packages that ship some.
"""

from collections.abc import Callable
from importlib.resources import as_file, files
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from hambatch.engines.synthetic import synthesize

Pixels = NDArray[np.uint8]
"""RGB ``[height, width, 3]``."""

WIDTH, HEIGHT = 600, 450

WORDS = (
    "patient archive referral dermatology clinic nightly batch report biopsy excision margin "
    "follow dated signed ward outpatient history findings"
).split()


def black(rng: np.random.Generator) -> Pixels:
    """Draw a frame that the shutter left dark: sensor noise only."""
    return _pixels(np.abs(rng.normal(0, 2, (HEIGHT, WIDTH, 3))))


def white(rng: np.random.Generator) -> Pixels:
    """Draw an overexposed frame."""
    return _pixels(255 - np.abs(rng.normal(0, 2, (HEIGHT, WIDTH, 3))))


def one_colour(rng: np.random.Generator) -> Pixels:
    """Draw a frame of one random colour with little noise."""
    return _pixels(rng.integers(30, 226, 3) + rng.normal(0, 1.5, (HEIGHT, WIDTH, 3)))


def noise(rng: np.random.Generator) -> Pixels:
    """Draw independent random values."""
    return rng.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)


def static(rng: np.random.Generator) -> Pixels:
    """Draw grey static of a screen, coarser than a pixel."""
    small = rng.integers(0, 256, (HEIGHT // 4, WIDTH // 4), dtype=np.uint8)
    grey = Image.fromarray(small).resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR)
    return np.asarray(grey.convert("RGB"))


def gradient(rng: np.random.Generator) -> Pixels:
    """Draw a smooth passage between two colours."""
    first, last = rng.integers(0, 256, (2, 3))
    along = np.linspace(0, 1, WIDTH)[None, :, None]
    return _pixels(np.broadcast_to(first + (last - first) * along, (HEIGHT, WIDTH, 3)))


def stripes(rng: np.random.Generator) -> Pixels:
    """Draw a test chart of coloured bars."""
    bars = rng.integers(0, 256, (8, 3))
    return _pixels(np.broadcast_to(np.repeat(bars, WIDTH // 8, axis=0), (HEIGHT, WIDTH, 3)))


def checkerboard(rng: np.random.Generator) -> Pixels:
    """Draw a calibration target."""
    cell = int(rng.integers(12, 60))
    y, x = np.mgrid[:HEIGHT, :WIDTH] // cell
    return _pixels(np.repeat((((x + y) % 2) * 230 + 12)[..., None], 3, axis=2))


def cat(rng: np.random.Generator) -> Pixels:
    """Draw a cat's face in flat colours."""
    image, draw = _canvas(rng, light=True)
    fur, x, y = _colour(rng), WIDTH // 2 + int(rng.integers(-60, 60)), HEIGHT // 2
    for side in (-1, 1):
        tip = (x + side * 110, y - 190)
        draw.polygon([(x + side * 30, y - 90), tip, (x + side * 130, y - 50)], fill=fur)
    draw.ellipse([x - 140, y - 120, x + 140, y + 140], fill=fur)
    for side in (-1, 1):
        eye = x + side * 60
        draw.ellipse([eye - 25, y - 40, eye + 25, y + 10], fill=(240, 240, 200))
        draw.ellipse([eye - 6, y - 36, eye + 6, y + 6], fill=(10, 10, 10))
        for k in (-15, 0, 15):
            draw.line([x + side * 20, y + 50, x + side * 170, y + 50 + k * 2], fill=0, width=2)
    draw.polygon([(x - 15, y + 25), (x + 15, y + 25), (x, y + 45)], fill=(220, 120, 130))
    return np.asarray(image)


def house(rng: np.random.Generator) -> Pixels:
    """Draw a child's house below a sky."""
    image, draw = Image.new("RGB", (WIDTH, HEIGHT), (150, 200, 240)), None
    draw = ImageDraw.Draw(image)
    draw.rectangle([0, 330, WIDTH, HEIGHT], fill=(90, 160, 70))
    left = int(rng.integers(80, 250))
    draw.rectangle([left, 200, left + 220, 380], fill=_colour(rng))
    draw.polygon([(left - 25, 200), (left + 110, 90), (left + 245, 200)], fill=_colour(rng))
    draw.rectangle([left + 85, 290, left + 135, 380], fill=(80, 50, 30))
    draw.ellipse([480, 30, 560, 110], fill=(250, 220, 60))
    return np.asarray(image)


def page(rng: np.random.Generator) -> Pixels:
    """Draw a scanned page of text."""
    image = Image.new("RGB", (WIDTH, HEIGHT), (250, 249, 244))
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(15)
    for y in range(25, HEIGHT - 25, 20):
        line = " ".join(rng.choice(WORDS, int(rng.integers(5, 9))))
        draw.text((30, y), line, fill=(20, 20, 30), font=font)
    return np.asarray(image)


def form(rng: np.random.Generator) -> Pixels:
    """Draw a form with boxes and a few words of handwriting size."""
    image = Image.new("RGB", (WIDTH, HEIGHT), "white")
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(22)
    for y in range(20, HEIGHT - 60, 70):
        draw.rectangle([30, y, WIDTH - 30, y + 50], outline=(60, 60, 60), width=2)
        draw.text((40, y + 10), str(rng.choice(WORDS)), fill=(20, 40, 140), font=font)
    return np.asarray(image)


def screenshot(rng: np.random.Generator) -> Pixels:
    """Draw a window with a menu, a list and buttons."""
    image = Image.new("RGB", (WIDTH, HEIGHT), (236, 236, 240))
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(13)
    draw.rectangle([0, 0, WIDTH, 28], fill=_colour(rng))
    draw.text((8, 6), "File  Edit  View  Patient  Help", fill="white", font=font)
    draw.rectangle([0, 28, 150, HEIGHT], fill=(215, 218, 226))
    for y in range(40, HEIGHT - 20, 24):
        draw.text((8, y), str(rng.choice(WORDS)), fill=(30, 30, 40), font=font)
        draw.rectangle([165, y, WIDTH - 20, y + 18], fill="white", outline=(200, 200, 205))
        draw.text((172, y + 2), " ".join(rng.choice(WORDS, 5)), fill=(60, 60, 60), font=font)
    return np.asarray(image)


def dark_screen(rng: np.random.Generator) -> Pixels:
    """Draw a terminal: light letters on black."""
    image = Image.new("RGB", (WIDTH, HEIGHT), (16, 18, 22))
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(14)
    for y in range(8, HEIGHT - 12, 18):
        words = " ".join(rng.choice(WORDS, int(rng.integers(1, 8))))
        draw.text((8, y), f"$ {words}", fill=(120, 220, 130), font=font)
    return np.asarray(image)


def chart(rng: np.random.Generator) -> Pixels:
    """Draw a chart with axes and bars."""
    image = Image.new("RGB", (WIDTH, HEIGHT), "white")
    draw = ImageDraw.Draw(image)
    draw.line([60, 30, 60, 400, 570, 400], fill=(0, 0, 0), width=2)
    for k in range(9):
        top = int(rng.integers(60, 380))
        draw.rectangle([80 + 54 * k, top, 115 + 54 * k, 400], fill=_colour(rng))
    return np.asarray(image)


def barcode(rng: np.random.Generator) -> Pixels:
    """Draw a label with a code of squares."""
    cells = rng.integers(0, 2, (29, 29), dtype=np.uint8) * 255
    code = Image.fromarray(cells).resize((380, 380), Image.Resampling.NEAREST)
    image = Image.new("RGB", (WIDTH, HEIGHT), (245, 245, 245))
    image.paste(code, (110, 35))
    return np.asarray(image)


def x_ray(rng: np.random.Generator) -> Pixels:
    """Draw grey ribs on black, as another department's picture."""
    image = Image.new("L", (WIDTH, HEIGHT), 12)
    draw = ImageDraw.Draw(image)
    for k in range(8):
        box = [90 - 4 * k, 40 + 46 * k, WIDTH - 90 + 4 * k, 150 + 46 * k]
        draw.arc(box, 190, 350, fill=int(rng.integers(120, 220)), width=14)
    draw.rectangle([285, 30, 315, 430], fill=170)
    return np.asarray(image.filter(ImageFilter.GaussianBlur(6)).convert("RGB"))


def tissue(rng: np.random.Generator) -> Pixels:
    """Draw a stained slide: dark nuclei on pink."""
    image = Image.new("RGB", (WIDTH, HEIGHT), (232, 180, 214))
    draw = ImageDraw.Draw(image)
    for _ in range(900):
        x, y, r = rng.integers(0, WIDTH), rng.integers(0, HEIGHT), rng.integers(3, 9)
        shade = int(rng.integers(60, 120))
        draw.ellipse([x - r, y - r, x + r, y + r], fill=(shade, 40, shade + 60))
    return np.asarray(image.filter(ImageFilter.GaussianBlur(1)))


def swapped(rng: np.random.Generator) -> Pixels:
    """Draw a synthetic lesion with red and blue swapped."""
    return np.ascontiguousarray(synthesize(rng, WIDTH, HEIGHT)[..., ::-1])


def negative(rng: np.random.Generator) -> Pixels:
    """Draw a synthetic lesion as a negative."""
    return np.asarray(255 - synthesize(rng, WIDTH, HEIGHT))


def photograph(rng: np.random.Generator) -> Pixels:
    """Crop a photograph of a landscape, a flower or a person; raises LookupError without any."""
    found = [(package, name) for package, name in PHOTOGRAPHS if find_spec(package.split(".")[0])]
    if not found:
        raise LookupError("no package with photographs is installed")
    package, name = found[int(rng.integers(len(found)))]
    with as_file(files(package).joinpath(name)) as path, Image.open(path) as image:
        picture = image.convert("RGB")
    share = rng.uniform(0.5, 1)
    width, height = int(picture.width * share), int(picture.height * share)
    left = int(rng.integers(0, picture.width - width + 1))
    top = int(rng.integers(0, picture.height - height + 1))
    return np.asarray(picture.crop((left, top, left + width, top + height)))


PHOTOGRAPHS = (
    ("sklearn.datasets", "images/china.jpg"),
    ("sklearn.datasets", "images/flower.jpg"),
    ("matplotlib", "mpl-data/sample_data/grace_hopper.jpg"),
)


def music(rng: np.random.Generator) -> Pixels:
    """Draw a sheet of music: staves and notes."""
    image = Image.new("RGB", (WIDTH, HEIGHT), (252, 250, 240))
    draw = ImageDraw.Draw(image)
    for top in range(40, HEIGHT - 60, 90):
        for line in range(5):
            draw.line([30, top + 10 * line, WIDTH - 30, top + 10 * line], fill=(30, 30, 30))
        for x in range(60, WIDTH - 60, 40):
            y = top + int(rng.integers(-5, 45))
            draw.ellipse([x, y, x + 12, y + 9], fill=(10, 10, 10))
            draw.line([x + 12, y + 4, x + 12, y - 28], fill=(10, 10, 10), width=2)
    return np.asarray(image)


def map_of_streets(rng: np.random.Generator) -> Pixels:
    """Draw a map: blocks, streets, a river."""
    image = Image.new("RGB", (WIDTH, HEIGHT), (238, 232, 220))
    draw = ImageDraw.Draw(image)
    for _ in range(40):
        x, y = int(rng.integers(0, WIDTH)), int(rng.integers(0, HEIGHT))
        fill = ((200, 220, 180), (225, 215, 205), (215, 200, 190))[int(rng.integers(3))]
        draw.rectangle([x, y, x + int(rng.integers(30, 120)), y + 60], fill=fill)
    for _ in range(14):
        ends = [int(v) for v in rng.integers(-50, 650, 4)]
        draw.line(ends, fill=(255, 255, 255), width=int(rng.integers(3, 12)))
    draw.line([0, 300, 200, 260, 420, 330, 600, 280], fill=(150, 190, 230), width=25)
    return np.asarray(image)


def wood(rng: np.random.Generator) -> Pixels:
    """Draw a table's grain, in colours near those of skin."""
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float64)
    rings = np.sin((y + 25 * np.sin(x / rng.uniform(60, 140))) / rng.uniform(5, 11))
    ground = np.array([176, 122, 80]) + rng.normal(0, 12, 3)
    return _pixels(ground + rings[..., None] * [22, 18, 14] + rng.normal(0, 4, (HEIGHT, WIDTH, 3)))


def sky(rng: np.random.Generator) -> Pixels:
    """Draw a blue sky with clouds."""
    small = rng.normal(0, 1, (9, 12)).astype(np.float32)
    cloud = np.asarray(Image.fromarray(small).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC))
    share = np.clip(cloud, 0, 1)[..., None]
    return _pixels(np.array([95, 150, 220]) * (1 - share) + 245 * share)


def fundus(rng: np.random.Generator) -> Pixels:
    """Draw the back of an eye: an orange disc with vessels on black."""
    image = Image.new("RGB", (WIDTH, HEIGHT), (4, 3, 3))
    draw = ImageDraw.Draw(image)
    draw.ellipse([85, 10, 515, 440], fill=(196, 92, 40))
    draw.ellipse([370, 190, 440, 260], fill=(250, 210, 140))
    for _ in range(14):
        points, x, y, angle = [], 405.0, 225.0, rng.uniform(0, 6.3)
        for _ in range(25):
            points.append((x, y))
            angle += rng.normal(0, 0.25)
            x, y = x + 11 * np.cos(angle), y + 11 * np.sin(angle)
        draw.line(points, fill=(120, 30, 20), width=int(rng.integers(2, 5)))
    mask = Image.new("L", (WIDTH, HEIGHT), 0)
    ImageDraw.Draw(mask).ellipse([85, 10, 515, 440], fill=255)
    black = Image.new("RGB", (WIDTH, HEIGHT), (4, 3, 3))
    return np.asarray(Image.composite(image.filter(ImageFilter.GaussianBlur(2)), black, mask))


def fractal(rng: np.random.Generator) -> Pixels:
    """Draw a Julia set."""
    y, x = np.mgrid[-1.2 : 1.2 : HEIGHT * 1j, -1.6 : 1.6 : WIDTH * 1j]
    z, c, steps = x + 1j * y, complex(-0.75 + rng.normal(0, 0.05), 0.12), np.zeros(x.shape)
    for k in range(40):
        inside = np.abs(z) < 4
        steps[inside] = k
        z[inside] = z[inside] ** 2 + c
    return _pixels(steps[..., None] * (6.5 * rng.uniform(0.3, 1, 3)))


def spreadsheet(rng: np.random.Generator) -> Pixels:
    """Draw a table of numbers with coloured heads."""
    image = Image.new("RGB", (WIDTH, HEIGHT), "white")
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(12)
    draw.rectangle([0, 0, WIDTH, 22], fill=(70, 120, 180))
    for y in range(0, HEIGHT, 22):
        draw.line([0, y, WIDTH, y], fill=(190, 190, 190))
        for x in range(0, WIDTH, 75):
            draw.line([x, 0, x, HEIGHT], fill=(190, 190, 190))
            draw.text((x + 6, y + 4), f"{rng.uniform(0, 999):.2f}", fill=(20, 20, 20), font=font)
    return np.asarray(image)


def skin_alone(rng: np.random.Generator) -> Pixels:
    """Draw skin without a lesion, out of focus: a photograph of the arm beside it."""
    small = rng.normal(0, 1, (6, 8)).astype(np.float32)
    cloud = np.asarray(Image.fromarray(small).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC))
    ground = np.array([214, 160, 132]) + rng.normal(0, 10, 3)
    return _pixels(ground + cloud[..., None] * 7 + rng.normal(0, 2, (HEIGHT, WIDTH, 3)))


def traffic_sign(rng: np.random.Generator) -> Pixels:
    """Draw a round sign on leaves."""
    leaves = rng.integers(20, 120, (HEIGHT // 6, WIDTH // 6, 3)) * [0.5, 1.0, 0.4]
    image = Image.fromarray(leaves.astype(np.uint8)).resize((WIDTH, HEIGHT))
    draw = ImageDraw.Draw(image)
    draw.ellipse([160, 85, 440, 365], fill=(200, 20, 30))
    draw.ellipse([200, 125, 400, 325], fill="white")
    draw.text((250, 170), str(int(rng.integers(3, 13)) * 10), fill="black", font_size=90)
    return np.asarray(image)


def ultrasound(rng: np.random.Generator) -> Pixels:
    """Draw a grey sector of speckle on black."""
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float64)
    inside = (np.hypot(x - 300, y + 60) < 480) & (np.abs(x - 300) < (y + 60) * 0.75)
    speckle = rng.rayleigh(45, (HEIGHT, WIDTH)) * np.exp(-y / 500)
    return _pixels(np.repeat(np.where(inside, speckle, 3)[..., None], 3, axis=2))


KINDS: dict[str, Callable[[np.random.Generator], Pixels]] = {
    draw.__name__: draw
    for draw in (
        *(black, white, one_colour, noise, static, gradient, stripes, checkerboard, cat, house),
        *(page, form, screenshot, dark_screen, chart, barcode, x_ray, tissue, swapped, negative),
        photograph,
    )
}
"""Each draws a picture from a generator: the same state gives the same pixels."""

LATER: dict[str, Callable[[np.random.Generator], Pixels]] = {
    draw.__name__: draw
    for draw in (
        *(music, map_of_streets, wood, sky, fundus, fractal, spreadsheet, skin_alone),
        *(traffic_sign, ultrasound),
    )
}
"""Written when all measures and limits of the image checks were there, and before they had been
tried on any of them: they chose nothing."""


def _pixels(values: NDArray[np.floating] | NDArray[np.integer]) -> Pixels:
    return np.clip(np.round(values), 0, 255).astype(np.uint8)


def _colour(rng: np.random.Generator) -> tuple[int, int, int]:
    red, green, blue = (int(value) for value in rng.integers(20, 236, 3))
    return red, green, blue


def _canvas(rng: np.random.Generator, *, light: bool) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    low, high = (200, 256) if light else (0, 60)
    ground = tuple(int(value) for value in rng.integers(low, high, 3))
    image = Image.new("RGB", (WIDTH, HEIGHT), ground)
    return image, ImageDraw.Draw(image)
