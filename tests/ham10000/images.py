"""A picture, encoded and changed in many ways."""

import io

import numpy as np
from PIL import Image, ImageEnhance


def picture(seed: int, width: int = 300, height: int = 225) -> Image.Image:
    """A soft random picture with some detail, another for every seed."""
    draw = np.random.default_rng(seed)
    layers = [
        Image.fromarray(draw.integers(0, 256, size, np.uint8)).resize(
            (width, height), Image.Resampling.BICUBIC
        )
        for size in ((6, 8, 3), (18, 24, 3))
    ]
    return Image.blend(*layers, 0.3)


def encoded(image: Image.Image, quality: int = 90) -> bytes:
    """As a JPEG."""
    stream = io.BytesIO()
    image.save(stream, format="JPEG", quality=quality)
    return stream.getvalue()


def scaled(image: Image.Image, factor: float) -> Image.Image:
    """Larger or smaller."""
    size = (round(image.width * factor), round(image.height * factor))
    return image.resize(size, Image.Resampling.LANCZOS)


def cropped(image: Image.Image, share: float) -> Image.Image:
    """Without a margin all around; ``share`` of each side is lost."""
    x, y = (round(side * share / 2) for side in image.size)
    return image.crop((x, y, image.width - x, image.height - y))


COPIES = {
    "compressed at 75": lambda image: encoded(image, 75),
    "compressed at 95": lambda image: encoded(image, 95),
    "half as large": lambda image: encoded(scaled(image, 0.5)),
    "twice as large": lambda image: encoded(scaled(image, 2)),
    "without its colours": lambda image: encoded(image.convert("L").convert("RGB")),
    "brighter": lambda image: encoded(ImageEnhance.Brightness(image).enhance(1.1)),
    "without a narrow margin": lambda image: encoded(cropped(image, 0.01)),
}

MISSED = {
    "mirrored": lambda image: encoded(image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)),
    "turned": lambda image: encoded(image.transpose(Image.Transpose.ROTATE_180)),
    "without a wide margin": lambda image: encoded(cropped(image, 0.3)),
}
