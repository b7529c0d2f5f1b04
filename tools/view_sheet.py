"""Draw a sheet of training views, to see what the options of `hambatch train` make of images.

    python tools/view_sheet.py FOLDER sheet.png --images 6 --shades-of-grey 1 --hair-share 0.3

A row an image: as scoring sees it, then views 1, 2, ... as fine-tuning does. The images are taken
at even steps through the sorted files of the folder. All options of `hambatch train` are taken;
those of pixels count.
"""

from pathlib import Path
from typing import Any

import click
import numpy as np
from PIL import Image

from hambatch.cli.train import options_from, recipe_options
from hambatch.ham10000.images import find_images
from hambatch.system.array_cache import Pair
from hambatch.system.files import sha256_of_file
from hambatch.training.views import Views, plain_views


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--images", default=6, help="Rows.")
@click.option("--columns", default=8, help="Views of each.")
@recipe_options
def main(folder: Path, out: Path, images: int, columns: int, **values: Any) -> None:
    """Write the sheet."""
    options = options_from(values)
    names = [found[0] for found in find_images(folder).images.values()]
    steps = np.unique(np.linspace(0, len(names) - 1, images).round().astype(int))
    files = {sha256_of_file(folder / names[k]): folder / names[k] for k in steps}
    views = Views(files, options, options.finetune.side, columns)
    rows = []
    for sha256 in files:
        pairs = [Pair(sha256, view) for view in range(1, columns + 1)]
        (plain,) = views.batches(plain_views([sha256]), on_cpu=True)
        (changed,) = views.batches(pairs, jitter=True, on_cpu=True)
        rows.append(np.concatenate([*plain, *changed], axis=1))
    Image.fromarray(np.concatenate(rows)).save(out)
    click.echo(f"{len(rows)} images, {columns} views of each: {out}")


if __name__ == "__main__":
    main()
