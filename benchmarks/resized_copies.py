"""Copies of images at the network's side, to compare ways to resize before one is built in.

    python benchmarks/resized_copies.py IMAGES OUT --way squash|crop|plain|border --side 224

Scoring and training do not resize a copy of the network's side again. `squash` takes the mean of
the pixels that a pixel covers (Pillow's antialiased bilinear filter) and does not keep the aspect;
`crop` does the same with the largest square in the middle; `plain` is what `hambatch` does without
antialias: it reads four pixels, however many are covered. `border` first crops to the box around
what is not black: what a round black border leaves. Copies are JPEGs of quality 95.

OUT has the subfolders, tables and file names of IMAGES, as `hambatch prepare` takes them.
"""

import shutil
from pathlib import Path

import click
import numpy as np
from PIL import Image, ImageOps

from hambatch.pipelines.pillow_lane import resize_linear

HOW = {"quality": 95, "subsampling": 0}

BLACK, LEAST = 30, 0.1
"""The brightest pixel of a border, of 255; and the share of a row or column that is not black."""


def resized(image: Image.Image, way: str, side: int) -> Image.Image:
    """Resize an RGB image to a square of ``side`` pixels."""
    if way == "plain":
        return Image.fromarray(resize_linear(np.asarray(image), side, side))
    if way == "crop":
        return ImageOps.fit(image, (side, side), Image.Resampling.BILINEAR)
    return image.resize((side, side), Image.Resampling.BILINEAR, within(image, way))


def within(image: Image.Image, way: str) -> tuple[int, int, int, int]:
    """Give the box that is resized, as Pillow has it: left, top, right, bottom."""
    bright = np.asarray(image.convert("L")) > BLACK
    rows = np.flatnonzero(bright.mean(axis=1) > LEAST)
    columns = np.flatnonzero(bright.mean(axis=0) > LEAST)
    if way != "border" or not rows.size or not columns.size:
        return 0, 0, *image.size
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


@click.command()
@click.argument("images", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--way", type=click.Choice(["squash", "crop", "plain", "border"]), default="squash")
@click.option("--side", default=224, help="In pixels.")
def main(images: Path, out: Path, way: str, side: int) -> None:
    """Write the copies."""
    out.mkdir(parents=True, exist_ok=True)
    for path in sorted(images.rglob("*")):
        target = out / path.relative_to(images)
        if path.is_dir():
            target.mkdir(parents=True, exist_ok=True)
        elif path.suffix.lower() in (".jpg", ".jpeg"):
            with Image.open(path) as image:
                upright = ImageOps.exif_transpose(image).convert("RGB")
            resized(upright, way, side).save(target, "jpeg", **HOW)
        elif path.suffix == ".csv":
            shutil.copy(path, target)


if __name__ == "__main__":
    main()
