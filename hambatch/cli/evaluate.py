"""`hambatch evaluate`: predictions against the truth."""

import json
from pathlib import Path

import click


@click.command()
@click.argument("predictions", type=click.Path(path_type=Path))
@click.option(
    "--truth",
    required=True,
    type=click.Path(path_type=Path),
    help="Labels: image_id,dx, or the ISIC one-hot header.",
)
@click.option("--split", default=None, help="Only labels with this value in their column split.")
@click.option(
    "--out",
    default=None,
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for evaluation.json and confusion.png.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def evaluate(
    predictions: Path, truth: Path, split: str | None, out: Path | None, as_json: bool
) -> None:
    """Compare PREDICTIONS, a table of `hambatch score`, with labels.

    Images are joined by file name without folder and suffix. Intervals are
    bootstrapped by lesion where the labels have a column lesion_id.
    """
    from hambatch.evaluation.comparison import compare
    from hambatch.evaluation.report import format_report, write_report

    found = compare(predictions, truth, split)
    if out is not None:
        write_report(found, out)
    click.echo(json.dumps(found, indent=2) if as_json else format_report(found))
