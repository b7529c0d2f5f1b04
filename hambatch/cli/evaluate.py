"""`hambatch evaluate`: predictions against the truth."""

import json
from pathlib import Path

import click


@click.command()
@click.argument("predictions", metavar="PREDS", type=click.Path(path_type=Path))
@click.option(
    "--truth",
    required=True,
    type=click.Path(path_type=Path),
    help="Table with image_id and dx, or the ISIC 2018 Task 3 ground truth.",
)
@click.option("--split", help="Only the truth's rows with this value in their column split.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder for evaluation.json and confusion.png, replaced if there.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the JSON instead of the tables.")
def evaluate(
    predictions: Path, truth: Path, split: str | None, out: Path | None, as_json: bool
) -> None:
    """Compare the predictions of `hambatch score` with the truth.

    Rows are joined by image_id, the stem of the image's file name. Figures are
    over the images that were scored; the others are counted and named.
    """
    from hambatch.evaluation.comparison import compare, write_report
    from hambatch.evaluation.report import format_report

    report = compare(predictions, truth, split)
    click.echo(json.dumps(report, indent=2) if as_json else format_report(report))
    if out is not None:
        written = write_report(report, out)
        click.echo(f"Wrote {' and '.join(map(str, written))}.", err=True)
