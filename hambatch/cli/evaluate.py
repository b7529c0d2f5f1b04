"""`hambatch evaluate`: predictions against the truth."""

import json
from pathlib import Path
from typing import Any

import click

from hambatch.cli.help import Command
from hambatch.cli.labels import of_labels
from hambatch.cli.messages import say
from hambatch.cli.parameters import OutputFile, OutputFolder, SourcePath, option_of
from hambatch.evaluation.options import GALLERY_AT_MOST, PageOptions
from hambatch.system.output_names import HTML

PATH = click.Path(path_type=Path)


EXAMPLES = r"""
hambatch evaluate preds.csv --truth labels.csv
hambatch evaluate preds.csv --truth split.csv --split test --html page.html
hambatch evaluate preds.csv --truth HAM10000_metadata.csv --exclude-trained
hambatch evaluate preds.csv --truth labels.csv --against other.csv
# With the pictures of the worst errors, from the folder that was scored.
hambatch evaluate preds.csv --truth labels.csv --html page.html --gallery 8 --images ./images
# Labels of your own: the columns file and diagnosis, with names that are none of the classes.
hambatch evaluate preds.csv --truth clinic.csv --id-column file --label-column diagnosis \
    --map melanoma=mel --map "Basal cell carcinoma=bcc" --map naevus=nv --exclude-other-classes
"""


@click.command(cls=Command, examples=EXAMPLES)
@click.argument("predictions", metavar="PREDS", type=PATH)
@click.option(
    "--truth",
    required=True,
    type=PATH,
    help="Table with image_id and dx, or the ground truth of ISIC 2018 Task 3 or ISIC 2019.",
)
@of_labels
@click.option("--split", help="Only the truth's rows with this value in their column split.")
@click.option("--against", type=PATH, help="Other predictions of the same images: paired tests.")
@click.option("--data", type=PATH, help="Split table that the engine was trained with.")
@click.option(
    "--engine",
    metavar="NAME|PATH",
    help="Engine behind predictions without a record; none: no engine made them.",
)
@click.option(
    "--images",
    metavar="SOURCE",
    multiple=True,
    type=SourcePath(),
    help="Where the evaluated images lie, for the leak check by pictures and for --gallery.",
)
@click.option(
    "--exclude-trained", is_flag=True, help="Leave images out that the engine was trained on."
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
@option_of(PageOptions())(
    "--gallery",
    "With --html: the worst N errors of each kind, with their pictures.",
    click.IntRange(0, GALLERY_AT_MOST),
    metavar="N",
)
@click.option("--json", "as_json", is_flag=True, help="Print the JSON instead of the tables.")
def evaluate(
    predictions: Path,
    truth: Path,
    split: str | None,
    against: Path | None,
    out: Path | None,
    html: Path | None,
    gallery: int,
    as_json: bool,
    data: Path | None,
    engine: str | None,
    images: tuple[Path, ...],
    exclude_trained: bool,
    **labels: Any,
) -> None:
    """Compare the predictions of `hambatch score` with the truth.

    Rows are joined by image_id, the stem of the image's file name. Figures are
    over the images that were scored; the others are counted and named.
    If the engine was trained on some of the images, the command stops, or leaves them out
    with --exclude-trained.
    """
    from hambatch.evaluation.evaluate import compare
    from hambatch.evaluation.gallery import gallery_pictures
    from hambatch.evaluation.options import LabelOptions, LeakOptions
    from hambatch.evaluation.report import format_report
    from hambatch.evaluation.report_files import write_report

    if gallery and html is None:
        raise click.UsageError("--gallery goes with --html")
    leaks = LeakOptions(data, engine, images, exclude_trained)
    report = compare(
        predictions,
        truth,
        split,
        against=against,
        labels=LabelOptions(**labels),
        leaks=leaks,
        gallery=gallery,
    )
    click.echo(json.dumps(report, indent=2) if as_json else format_report(report))
    pictures = gallery_pictures(report["gallery"], predictions, leaks) if gallery else None
    written = write_report(report, out, html, pictures)
    if written:
        paths = [*map(str, written)]
        say("written", f"Wrote {', '.join(paths)}.", paths=paths)
