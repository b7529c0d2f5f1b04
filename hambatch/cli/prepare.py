"""`hambatch prepare`: HAM10000 to a split table."""

import shlex
from pathlib import Path
from typing import Any

import click

from hambatch.cli.help import Command
from hambatch.cli.parameters import FiniteRange, OutputFile, option_of
from hambatch.ham10000.options import PrepareOptions
from hambatch.system.output_names import CSV

FRACTION = FiniteRange(0, 1, min_open=True, max_open=True)


option = option_of(PrepareOptions())

EXAMPLES = """
hambatch prepare HAM10000 --out split.csv
"""


@click.command(cls=Command, examples=EXAMPLES)
@click.argument("root", metavar="HAM10000_DIR", type=click.Path(path_type=Path))
@click.option(
    "--out", required=True, type=OutputFile(CSV, "CSV"), help="Split table to write (CSV)."
)
@option("--val-fraction", "Share of each class's lesions held out for validation.", FRACTION)
@option("--test-fraction", "Share of each class's lesions held out for testing.", FRACTION)
@option(
    "--gate-fraction",
    "Share taken from train, to measure cheaper precisions on: the split gate; 0: none.",
    FiniteRange(0, 1, max_open=True),
)
@option(
    "--certify-fraction",
    "Share taken from train, to certify thresholds with: the split certify; 0: none.",
    FiniteRange(0, 1, max_open=True),
)
@option("--seed", "The same seed gives the same split.", click.IntRange(min=0))
@click.option("--overwrite", is_flag=True, help="Replace another split table at --out.")
def prepare(root: Path, out: Path, *, overwrite: bool, **chosen: Any) -> None:
    """Split HAM10000 by lesion, check it for leaks, write the split table.

    HAM10000_DIR is the unpacked download: HAM10000_metadata.csv, and the
    images in any folders below.
    """
    from hambatch.ham10000.prepare import prepare as prepare_split
    from hambatch.ham10000.prepare import summarize
    from hambatch.ham10000.table import record_path

    options = PrepareOptions(**chosen)
    click.echo(summarize(prepare_split(root, out, options, overwrite=overwrite)))
    click.echo(f"Wrote {out} and {record_path(out)}.")
    click.echo(f"Next: hambatch train --data {shlex.quote(str(out))} --out engines/NAME")
