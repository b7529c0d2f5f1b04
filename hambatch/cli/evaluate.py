"""`hambatch evaluate`: predictions against the truth."""

import json
from pathlib import Path

import click

from hambatch.cli.help import Command
from hambatch.cli.parameters import OutputFile, OutputFolder
from hambatch.system.output_names import HTML

PATH = click.Path(path_type=Path)


EXAMPLES = """
hambatch evaluate preds.csv --truth labels.csv
hambatch evaluate preds.csv --truth split.csv --split test --html page.html
hambatch evaluate preds.csv --truth labels.csv --against other.csv
"""


@click.command(cls=Command, examples=EXAMPLES)
@click.argument("predictions", metavar="PREDS", type=PATH)
@click.option(
    "--truth",
    required=True,
    type=PATH,
    help="Table with image_id and dx, or the ISIC 2018 Task 3 ground truth.",
)
@click.option("--split", help="Only the truth's rows with this value in their column split.")
@click.option("--against", type=PATH, help="Other predictions of the same images: paired tests.")
@click.option(
    "--data",
    type=PATH,
    help="Split table that the engine was trained with: its training images are refused.",
)
@click.option(
    "--out",
    type=OutputFolder(),
    help="Folder for evaluation.json and the plots, replaced if there.",
)
@click.option(
    "--html",
    type=OutputFile(HTML, "a page of HTML"),
    help="Page with everything in one file, replaced if there.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the JSON instead of the tables.")
def evaluate(
    predictions: Path,
    truth: Path,
    split: str | None,
    against: Path | None,
    data: Path | None,
    out: Path | None,
    html: Path | None,
    as_json: bool,
) -> None:
    """Compare the predictions of `hambatch score` with the truth.

    Rows are joined by image_id, the stem of the image's file name. Figures are
    over the images that were scored; the others are counted and named.
    Images that the engine was trained on are refused, as far as they are known.
    """
    from hambatch.evaluation.evaluate import compare
    from hambatch.evaluation.report import format_report
    from hambatch.evaluation.report_files import write_report

    report = compare(predictions, truth, split, against=against, data=data)
    click.echo(json.dumps(report, indent=2) if as_json else format_report(report))
    written = write_report(report, out, html)
    if written:
        click.echo(f"Wrote {', '.join(map(str, written))}.", err=True)
