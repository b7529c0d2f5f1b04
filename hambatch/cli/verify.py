"""`hambatch verify`: whether a table is still true."""

from pathlib import Path

import click

from hambatch.checks.options import VerifyOptions
from hambatch.cli.help import Command
from hambatch.cli.messages import INFO, WARNING, say
from hambatch.cli.parameters import SourcePath, option_of
from hambatch.cli.progress import progress
from hambatch.errors import ExitCode

DEFAULTS = VerifyOptions()


option = option_of(DEFAULTS)

EXAMPLES = """
hambatch verify preds.csv ./images
hambatch verify preds.csv ./images more.zip
hambatch verify preds.csv ./images --sample 500 --seed 7
# a table of `hambatch score --sign night.key`
openssl pkey -in night.key -pubout -out night.pub
hambatch verify preds.csv ./images --key night.pub
"""


@click.command(cls=Command, examples=EXAMPLES)
@click.argument("table", metavar="PREDS", type=click.Path(path_type=Path))
@click.argument("sources", metavar="SOURCE...", nargs=-1, required=True, type=SourcePath())
@click.option(
    "--format",
    "kind",
    default="auto",
    type=click.Choice(["auto", "csv", "tsv", "parquet", "jsonl", "xlsx", "isic", "dicom-sr"]),
    help="Format of the table; auto: by its suffix. Of isic only record and seal are checked.",
)
@click.option("-0", "null", is_flag=True, help="Paths on stdin end with NUL, as of find -print0.")
@option("--engine", "Name or folder; default: that of the record.")
@option("--sample", "Scored rows, and failed rows, to score again.", click.IntRange(0))
@option("--seed", "Repeats a sample; default: a random one, which is printed.", click.IntRange(0))
@option(
    "--key",
    "Ed25519 public key (PEM): check the seal that `score --sign` made.",
    click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="PUBLIC_KEY",
)
@click.pass_context
def verify(
    ctx: click.Context, /, table: Path, sources: tuple[Path, ...], kind: str, **options: object
) -> None:
    """Compare the table PREDS with its record, the images of each SOURCE and the engine.

    Every file is hashed again, and every row checked; a random sample is scored
    again. Who can write table and record can forge both, unless a key sealed them
    (--key). Differences go to stdout as CSV. Exit codes: 0 all agrees; 1 the run
    failed; 2 wrong command line; 3 something differs, or no seal of the key fits.
    """
    from hambatch.checks.verify.table import as_csv
    from hambatch.checks.verify.verify import verify as run

    verdict = run(table, sources, kind, VerifyOptions(**options), progress("files"))  # type: ignore[arg-type]
    if verdict.differences:
        click.echo(as_csv(verdict.differences), nl=False)
    code = ExitCode.SOME_IMAGES_FAILED if verdict.differences else ExitCode.OK
    level, count = (WARNING if verdict.differences else INFO), len(verdict.differences)
    say("verdict", verdict.proven, level, differences=count, exit_code=int(code))
    ctx.exit(code)
