"""`hambatch explain`: where in an image the evidence for a class lies."""

from pathlib import Path

import click
from click.core import ParameterSource

from hambatch.cli.help import Command
from hambatch.cli.messages import INFO, WARNING, say
from hambatch.cli.parameters import OutputFolder, SourcePath, option_of
from hambatch.cli.progress import progress
from hambatch.engines.classes import CLASSES
from hambatch.errors import ExitCode
from hambatch.explanation.options import ExplainOptions

DEFAULTS = ExplainOptions()

OF_A_TABLE = ("source", "label", "top")

PATH = click.Path(path_type=Path)


option = option_of(DEFAULTS)

EXAMPLES = """
hambatch explain ./images/one.jpg --out maps
hambatch explain 'night.zip!/one.jpg' --out maps
hambatch explain --from preds.csv --label mel --top 20 --out maps
"""


@click.command(cls=Command, examples=EXAMPLES)
@click.argument("images", metavar="[IMAGE]...", nargs=-1, type=SourcePath())
@click.option("--from", "table", metavar="PREDS", type=PATH, help="Take images of a table.")
@click.option(
    "--out", required=True, type=OutputFolder(), help="Folder for the PNGs and explain.json."
)
@option("--engine", "Name or folder; default: that of the table, or the default engine.")
@click.option(
    "--class",
    "of_class",
    default=DEFAULTS.of_class,
    type=click.Choice(CLASSES),
    help="Class whose map is drawn; default: the predicted class (with --from: the table's).",
)
@click.option(
    "--source",
    metavar="SOURCE",
    multiple=True,
    type=PATH,
    help="With --from: where the images lie now; once for each source of the run, in its order.",
)
@option("--label", "With --from: only images of this prediction.", click.Choice(CLASSES))
@option("--top", "With --from: the N images with the highest probability.", click.IntRange(1))
@click.pass_context
def explain(
    ctx: click.Context,
    /,
    images: tuple[Path, ...],
    table: Path | None,
    out: Path,
    source: tuple[Path, ...],
    **options: object,
) -> None:
    """Draw where each IMAGE, or image of a table, holds the evidence for a class.

    A heat map shows which cells of 32 x 32 pixels of its input the network relies on, not what is
    ill. Exit codes: 0 all explained; 1 the run failed; 2 wrong command line; 3 some images failed.
    """
    from hambatch.explanation.document import as_text, has_warning
    from hambatch.explanation.explain import explain as run
    from hambatch.explanation.selection import images_of_table, named_images

    if bool(images) == (table is not None):
        raise click.UsageError("wanted either images or --from PREDS")
    given = [n for n in OF_A_TABLE if ctx.get_parameter_source(n) != ParameterSource.DEFAULT]
    if table is None and given:
        raise click.UsageError(f"--{given[0]} goes with --from PREDS")
    chosen = ExplainOptions(**options)  # type: ignore[arg-type]
    found = images_of_table(table, source, chosen) if table else named_images(images, chosen)
    outcome = run(found, out, chosen, progress("images"))
    code = ExitCode.OK if outcome.complete else ExitCode.SOME_IMAGES_FAILED
    level = WARNING if code or has_warning(outcome.document) else INFO
    counts = {"counts": outcome.document["counts"], "exit_code": int(code)}
    say("summary", as_text(outcome.document, out), level, out=str(out), **counts)
    ctx.exit(code)
