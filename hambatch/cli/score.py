"""`hambatch score`: the main job."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import click

from hambatch.cli.help import Command
from hambatch.cli.parameters import (
    Device,
    ExistingFolder,
    FiniteRange,
    OutputFile,
    Percent,
    SourcePath,
    option_of,
)
from hambatch.engines.backend_names import WANTED
from hambatch.pipelines.options import DecoderOptions
from hambatch.scoring.options import VIEWS_AT_MOST, ScoreOptions
from hambatch.scoring.worker.spawned import started_ahead
from hambatch.system.inherited import choose_one_blas_thread

DEFAULTS = ScoreOptions()
DECODER = DEFAULTS.decoder

option = option_of(DEFAULTS)

EXAMPLES = """
hambatch score ./images --out preds.csv
hambatch score ./images --out results/preds.xlsx --mkdir --device gpu
hambatch score ./images --out - --journal-dir /var/tmp | sort -t, -k12 -r | head
# the same command again resumes a run that was stopped
hambatch score ./images --out preds.csv --retry-failed --max-megabytes 200
# every night: a row for what came since, the other rows are kept
hambatch score ./images old.zip --out preds.csv --update
find ./images -newer last -print0 | hambatch score - -0 --out new.csv
# a table that nobody can forge without the key
openssl genpkey -algorithm ed25519 -out night.key
hambatch score ./images --out preds.csv --sign night.key
"""


@click.command(cls=Command, examples=EXAMPLES)
@click.argument("sources", metavar="SOURCE...", nargs=-1, required=True, type=SourcePath())
@click.option(
    "--out",
    required=True,
    type=OutputFile(or_stdout=True),
    help="Table to write; -: to standard output, when the run is done.",
)
@click.option("--mkdir", is_flag=True, help="Make the folders above --out that are missing.")
@click.option(
    "--format",
    "kind",
    default="auto",
    type=click.Choice(["auto", "csv", "tsv", "parquet", "jsonl", "xlsx", "isic", "dicom-sr"]),
    help="Format of the table; auto: by the suffix of --out. dicom-sr: a zip of reports.",
)
@click.option(
    "--journal-dir",
    type=ExistingFolder(),
    help="Folder on a local disk for the journal, instead of beside --out; the same to resume.",
)
@click.option("--overwrite", is_flag=True, help="Replace an existing table; start afresh.")
@click.option("--retry-failed", is_flag=True, help="Score the failed rows of a table again.")
@click.option(
    "--update", is_flag=True, help="Score what is new or changed since the table; keep other rows."
)
@click.option(
    "--rehash",
    default=0.0,
    metavar="PERCENT",
    type=FiniteRange(0, 100),
    help="With --update: read this share of the unchanged files too, to find damaged disks.",
)
@click.option(
    "--sign",
    metavar="KEY",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Ed25519 private key (PEM): seal table and record, for `verify --key`.",
)
@option("--follow-symlinks", "Follow symbolic links that lead out of SOURCE.")
@option("--archives", "Score archives inside SOURCE too, one level deep.")
@option("--keep-ids", "Carry patient and study of DICOM files into the table.")
@option(
    "--all-formats/--no-all-formats",
    "Score WebP, TIFF, BMP, GIF, JPEG 2000, HEIC and AVIF too.",
)
@click.option("-0", "null", is_flag=True, help="Paths on stdin end with NUL, as of find -print0.")
@option("--engine", "Name of an installed engine, or a folder.")
@option(
    "--device",
    "auto: the first GPU that can be used, else the CPU; N: CUDA's number of a GPU.",
    Device(),
    metavar="auto|cpu|gpu|N[,M...]",
)
@option(
    "--backend",
    "auto: openvino on the CPU, tensorrt on a GPU.",
    click.Choice(["auto", "openvino", "tensorrt", "keras"]),
)
@option(
    "--precision",
    "auto: the fastest whose accuracy gate passed here or that engines tune allowed, else fp32.",
    click.Choice(WANTED),
)
@option("--force", "Use the --precision even if its gate failed; the record says so.")
@option(
    "--tta",
    "Test-time augmentation: average over N mirrored and turned views.",
    click.IntRange(1, VIEWS_AT_MOST),
)
@option(
    "--calibration/--no-calibration",
    "Apply the engine's fitted temperature, if it has one; labels stay the same.",
)
@option("--max-megabytes", "A larger file is a failed row.", FiniteRange(0.1, 1e6))
@option(
    "--max-megapixels", "A larger image, by its header, is a failed row.", FiniteRange(0.1, 1e6)
)
@option(
    "--max-ratio",
    "An archive or member that inflates more than X-fold is a failed row.",
    FiniteRange(1, 1e9),
)
@option(
    "--min-side",
    "An image whose shorter side has fewer pixels is a failed row.",
    click.IntRange(1, 10**9),
)
@option(
    "--max-aspect",
    "An image whose longer side is more than X times its shorter one is a failed row.",
    FiniteRange(1, 1e9),
)
@option(
    "--decode-seconds",
    "A file that takes longer to decode is a failed row.",
    FiniteRange(1, 86_400),
)
@option("--salvage-truncated", "Score the readable part of a truncated file.")
@option(
    "--fail-over",
    "Stop, with exit code 1, when more than PERCENT of the images fail.",
    FiniteRange(0, 100),
    metavar="PERCENT",
)
@option("--sentinel-every", "Score a sentinel in every N-th batch.", click.IntRange(1))
@option(
    "--double-check",
    "Compute this share of the requests twice, in another place, and stop if scores differ.",
    Percent(),
    metavar="PERCENT|all",
)
@option("--batch-size", "Images in a batch.", click.IntRange(1, 1024))
@option("--threads", "Cores to use; 0: all cores.", click.IntRange(0, 1024))
@option(
    "--streams",
    "Inference streams, one thread each; 0: one for each core.",
    click.IntRange(0, 1024),
)
@option("--decode-threads", "Decoding threads; 0: one for each core.", click.IntRange(0, 1024))
@option("--readers", "Reading threads.", click.IntRange(1, 256))
@option("--prefetch", "Batches decoded ahead.", click.IntRange(1, 32))
@option(
    "--model-cache/--no-model-cache",
    "Keep the compiled int8 graph and the sentinels' scores for later starts, in your private "
    "cache folder.",
)
@click.option(
    "--hw-decoder-load",
    default=DECODER.hw_decoder_load,
    type=FiniteRange(0, 1),
    help="Share of a batch's JPEGs that the GPU's JPEG engine decodes; between 0 and 1 a row may "
    "depend on its position in the batch.",
)
@click.option(
    "--preallocate",
    metavar="WIDTH HEIGHT",
    nargs=2,
    default=(DECODER.preallocate_width_hint, DECODER.preallocate_height_hint),
    type=click.IntRange(0, 65_500),
    help="Image size for which the GPU's JPEG engine reserves memory.",
)
@click.pass_context
def score(
    ctx: click.Context,
    /,
    sources: tuple[Path, ...],
    out: Path,
    mkdir: bool,
    kind: str,
    journal_dir: Path | None,
    overwrite: bool,
    retry_failed: bool,
    update: bool,
    rehash: float,
    null: bool,
    sign: Path | None,
    hw_decoder_load: float,
    preallocate: tuple[int, int],
    **options: object,
) -> None:
    """Score every image of each SOURCE into a table, one row per image.

    A SOURCE is a folder, an image, a quoted glob, a zip, a tar (.gz, .zst), a manifest (.csv,
    .tsv, .parquet, .jsonl with a column `image`), or - for paths on stdin. After any
    interruption, the same command resumes.

    Exit codes: 0 all scored; 1 the run failed; 2 wrong command line; 3 done, but
    some images failed or have no row, or folders could not be read; 130 interrupted.
    """
    if overwrite and retry_failed:
        raise click.UsageError("--overwrite scores everything again, --retry-failed only failures")
    if update and (overwrite or retry_failed):
        raise click.UsageError("--update goes with neither --overwrite nor --retry-failed")
    if rehash and not update:
        raise click.UsageError("--rehash goes with --update")
    decoder = DecoderOptions(hw_decoder_load, *preallocate)
    chosen = ScoreOptions(decoder=decoder, **options)  # type: ignore[arg-type]
    how: dict[str, Any] = {"overwrite": overwrite, "retry_failed": retry_failed}
    how |= {"sign": sign, "null": null, "update": update, "rehash": rehash, "mkdir": mkdir}
    choose_one_blas_thread()
    # An update may need no worker, and Keras and TensorRT need other imports.
    needs_ahead = not update and chosen.backend in ("auto", "openvino")
    with started_ahead() if needs_ahead else nullcontext():
        from hambatch.cli.outputs import run_to
        from hambatch.cli.summary import show_outcome, show_plan, show_rows

        outcome = run_to(
            out, sources, kind, chosen, journal_dir, **how, progress=show_rows, on_plan=show_plan
        )
    ctx.exit(show_outcome(outcome, out))
