"""`hambatch samples`: synthetic images to try it with."""

import shlex
from pathlib import Path

import click

from hambatch.cli.help import Command
from hambatch.cli.parameters import OutputFolder, option_of
from hambatch.engines.options import SampleOptions
from hambatch.system.text import plural

option = option_of(SampleOptions())

EXAMPLES = """
hambatch samples samples --count 100
"""


@click.command(cls=Command, examples=EXAMPLES)
@click.argument("folder", metavar="DIR", type=OutputFolder())
@option("--count", "Number of images.", click.IntRange(min=1))
@option("--seed", "The same seed gives the same pixels.", click.IntRange(min=0))
def samples(folder: Path, count: int, seed: int) -> None:
    """Write synthetic dermatoscopic JPEGs into DIR.

    They show skin, a lesion, hairs and gel bubbles, in several sizes; they
    belong to no class and measure nothing but speed.
    """
    from hambatch.engines.synthetic import write_samples

    paths = write_samples(folder, SampleOptions(count=count, seed=seed))
    where, images = shlex.quote(str(folder)), plural(len(paths), "image")
    click.echo(f"Wrote {images} to {where}. Next: hambatch score {where} --out preds.csv")
