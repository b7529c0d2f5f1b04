"""`hambatch certify`: a threshold with a sensitivity that it keeps."""

import json
from pathlib import Path
from typing import Any

import click

from hambatch.cli.help import Command
from hambatch.cli.labels import of_labels
from hambatch.cli.messages import say
from hambatch.cli.parameters import FiniteRange, SourcePath, option_of
from hambatch.engines.certificates import LEAST_PROMISE, TARGETS
from hambatch.triage.options import CertifyOptions

PATH = click.Path(path_type=Path)

EXAMPLES = r"""
hambatch certify preds.csv --truth split.csv --split certify
hambatch certify preds.csv --truth split.csv --split certify --target melanoma --write
hambatch certify preds.csv --truth split.csv --split test --estimate
# Labelled images of your own.
hambatch certify preds.csv --truth clinic.csv --id-column file --label-column diagnosis \
    --lesion-column lesion --map melanoma=mel --map naevus=nv
"""

HEADINGS = {"target": "Promise", "sensitivity": "Promise", "confidence": "Promise"} | {
    "estimate": "Output",
    "write": "Output",
}

of_certify = option_of(CertifyOptions())
PROMISED = FiniteRange(LEAST_PROMISE, 1, max_open=True)


@click.command(cls=Command, examples=EXAMPLES, headings=HEADINGS)
@click.argument("predictions", metavar="PREDS", type=PATH)
@click.option(
    "--truth", required=True, type=PATH, help="Table with image_id, dx, lesion_id: as of evaluate."
)
@of_labels
@click.option("--split", help="Only the truth's rows with this value in their column split.")
@of_certify("--target", "Lesions that are not to be missed.", click.Choice(TARGETS))
@of_certify("--sensitivity", "Least share of these lesions that is referred.", PROMISED)
@of_certify("--confidence", "One-sided, that the sensitivity is no lower.", PROMISED)
@of_certify("--estimate", "Print an estimate instead, of any images: it promises nothing.")
@click.option("--data", type=PATH, help="Split table that the engine was trained with.")
@click.option(
    "--engine", metavar="NAME|PATH", help="The engine, where the record of PREDS finds another."
)
@click.option(
    "--images",
    metavar="SOURCE",
    multiple=True,
    type=SourcePath(),
    help="Where the images lie: their pictures are compared with those trained on.",
)
@click.option("--write", is_flag=True, help="Seal the certificate into the engine.")
@click.option("--overwrite", is_flag=True, help="With --write: replace one of the same kind.")
@click.option("--json", "as_json", is_flag=True, help="Print the JSON instead of the text.")
def certify(
    predictions: Path,
    truth: Path,
    split: str | None,
    data: Path | None,
    engine: str | None,
    images: tuple[Path, ...],
    write: bool,
    overwrite: bool,
    as_json: bool,
    **chosen: Any,
) -> None:
    """Find the largest threshold that keeps a sensitivity, on labelled lesions that nothing saw.

    A lesion is missed if any of its images scores below the threshold. The promise holds for one
    engine, backend, precision and calibration, and for lesions like those of the images. Images
    that training, calibration or a choice saw are refused.
    """
    if (overwrite and not write) or (write and chosen["estimate"]):
        raise click.UsageError("--overwrite goes with --write, and --write not with --estimate")
    from hambatch.evaluation.options import LabelOptions, LeakOptions
    from hambatch.triage.certify import certify as found_by
    from hambatch.triage.certify import seal
    from hambatch.triage.report import format_certificate

    of_promise = {name: chosen.pop(name) for name in vars(CertifyOptions())}
    report = found_by(
        predictions,
        truth,
        split,
        CertifyOptions(**of_promise),
        labels=LabelOptions(**chosen),
        leaks=LeakOptions(data, engine, images),
    )
    click.echo(json.dumps(report, indent=2) if as_json else format_certificate(report))
    if write:
        say("sealed", seal(report, overwrite=overwrite), engine=report["engine"])
    elif report["certificate"]:
        say("not written", "Nothing was written: --write seals the certificate into the engine.")
