"""How much worse is an engine on blurred, dark or strongly compressed images? This makes copies.

    python benchmarks/degraded.py split.csv OUT --part test
    hambatch score OUT/blur --out blur.csv
    hambatch evaluate blur.csv --truth split.csv --split test --out blur
    hambatch engines add-figures ENGINE blur/evaluation.json --kind degraded --name "test, blurred"

IMAGES is a folder, or a split table of `hambatch prepare`. OUT/blur, OUT/dark and OUT/jpeg30 get
one JPEG an image, of the same name, size and colour profile:

blur    Gaussian, with a standard deviation of 1/112 of the side: 2 pixels of 224; JPEG quality 95
dark    all values halved; JPEG quality 95
jpeg30  JPEG quality 30

Images are turned upright as their EXIF says. The same images give the same bytes.
"""

import io
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter, ImageOps

from hambatch.ham10000.images import find_images
from hambatch.ham10000.table import dataset_root, read_split

DEGRADED = ("blur", "dark", "jpeg30")

BLUR = 1 / 112
"""Standard deviation of the blur as a share of the image's side."""

DARK = 0.5
"""Factor of the pixel values."""

QUALITY = 30

BEST = {"quality": 95, "subsampling": 0}
"""How copies are written that are degraded in another way than by compression."""


def degraded(kind: str, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Degrade uint8 RGB ``[height, width, 3]``."""
    if kind == "dark":
        return np.round(image * DARK).astype(np.uint8)
    if kind == "blur":
        side = (image.shape[0] * image.shape[1]) ** 0.5
        blurred = Image.fromarray(image).filter(ImageFilter.GaussianBlur(BLUR * side))
        return np.asarray(blurred)
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "jpeg", quality=QUALITY)
    return np.asarray(Image.open(stream))


@click.command()
@click.argument("images", type=click.Path(path_type=Path, exists=True))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--part", help="Only the images of this part of the split table.")
def main(images: Path, out: Path, part: str | None) -> None:
    """Write three folders of copies."""
    if part is not None and images.is_dir():
        raise click.UsageError("--part is of a split table, and IMAGES is a folder")
    written: dict[str, Path] = {}
    for path in files_in(images, part):
        if written.setdefault(path.stem, path) != path:
            raise click.UsageError(f"{path} and {written[path.stem]} would get copies of one name")
        write_copies(path, out)
    if not written:
        raise click.UsageError(f"{images} has no image{f' of part {part}' if part else ''}")
    click.echo(
        f"{len(written)} images; copies in {', '.join(str(out / kind) for kind in DEGRADED)}"
    )


def files_in(images: Path, part: str | None) -> Iterator[Path]:
    """Find the JPEGs of a folder, one for each name, or the images of a split table."""
    if images.is_dir():
        for found in find_images(images).images.values():
            yield images / found[0]
    else:
        rows = read_split(images)
        kept = rows if part is None else rows[rows["split"] == part]
        yield from (dataset_root(images) / file for file in kept["file"])


def write_copies(path: Path, out: Path) -> None:
    """Write one copy of each kind; the file of ``jpeg30`` is compressed once."""
    with Image.open(path) as image:
        profile = image.info.get("icc_profile")
        pixels = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    for kind in DEGRADED:
        (out / kind).mkdir(parents=True, exist_ok=True)
        copy = pixels if kind == "jpeg30" else degraded(kind, pixels)
        how = {"quality": QUALITY} if kind == "jpeg30" else BEST
        Image.fromarray(copy).save(out / kind / f"{path.stem}.jpg", icc_profile=profile, **how)


if __name__ == "__main__":
    main()
