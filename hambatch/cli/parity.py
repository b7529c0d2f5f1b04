"""`hambatch parity`: whether every way of scoring gives the same rows here."""

from pathlib import Path

import click

from hambatch.checks.options import ParityOptions
from hambatch.cli.help import Command
from hambatch.cli.parameters import Device, OutputFile, SourcePath, option_of
from hambatch.engines.backend_names import WANTED
from hambatch.errors import ExitCode
from hambatch.system.output_names import JSON

DEFAULTS = ParityOptions()


option = option_of(DEFAULTS)

EXAMPLES = """
hambatch parity ./images
hambatch parity ./images --device gpu --out parity.json
"""


@click.command(cls=Command, examples=EXAMPLES, context_settings={"show_default": True})
@click.argument("sources", metavar="SOURCE...", nargs=-1, required=True, type=SourcePath())
@option("--engine", "Name of an installed engine, or a folder.")
@option(
    "--device",
    "auto, cpu, gpu, or numbers of GPUs: 0,1; others are compared with the first.",
    Device(),
)
@option(
    "--precision",
    "auto: all that the engine and this machine have.",
    click.Choice(WANTED),
)
@option("--count", "Images, spread evenly over all that there are.", click.IntRange(1, 10_000))
@click.option("--out", type=OutputFile(JSON, "JSON"), help="JSON result to write.")
@click.pass_context
def parity(
    ctx: click.Context, /, sources: tuple[Path, ...], out: Path | None, **options: object
) -> None:
    """Score the same images of each SOURCE by every path, and compare them with the CPU's FP32.

    Paths are the decoder and backend of the CPU, those of a GPU, and Keras, each in its
    precisions; a path that cannot be taken here is named with the reason. Exit codes: 0 all
    within tolerance; 1 the run failed; 2 wrong command line; 3 something is beyond its tolerance.
    """
    from hambatch.bench.result import check_outputs, write_outputs
    from hambatch.checks.parity.measuring import measure_parity
    from hambatch.checks.parity.results import as_document, as_text
    from hambatch.cli.progress import progress

    check_outputs(out, None)
    chosen = ParityOptions(**options)  # type: ignore[arg-type]
    found = measure_parity(sources, chosen, progress("runs"))
    result = as_document(found)
    write_outputs(result, out, None)
    click.echo(as_text(result))
    ctx.exit(ExitCode.OK if found.holds else ExitCode.BEYOND_TOLERANCE)
