"""`hambatch score`: the main job."""

from pathlib import Path

import click

from hambatch.backends.test_time_augmentation import MOST
from hambatch.cli.parameters import Device, FiniteRange
from hambatch.cli.progress import show_rows
from hambatch.errors import ExitCode
from hambatch.pipelines.options import DecoderOptions
from hambatch.score.options import ScoreOptions

DEFAULTS = ScoreOptions()


@click.command()
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Table to write.")
@click.option(
    "--format",
    "kind",
    default="auto",
    type=click.Choice(["auto", "csv", "parquet", "jsonl", "isic"]),
    help="Of the table; auto: by the suffix of --out.",
)
@click.option("--engine", default=DEFAULTS.engine, help="Name of an installed engine, or a folder.")
@click.option(
    "--device",
    metavar="auto|cpu|gpu|N[,M...]",
    default=DEFAULTS.device,
    type=Device(),
    help="auto: the first GPU that can be used, else the CPU; N: CUDA's number of a GPU.",
)
@click.option(
    "--backend",
    default=DEFAULTS.backend,
    type=click.Choice(["auto", "openvino", "tensorrt", "keras"]),
    help="auto: openvino on the CPU, tensorrt on a GPU.",
)
@click.option(
    "--precision",
    default=DEFAULTS.precision,
    type=click.Choice(["auto", "fp32", "fp16", "int8"]),
    help="auto: int8 where its accuracy gate passed on this instruction set, else fp32.",
)
@click.option(
    "--force",
    is_flag=True,
    default=DEFAULTS.force,
    help="Use --precision int8 whatever its gate says; the record says so.",
)
@click.option(
    "--model-cache/--no-model-cache",
    default=DEFAULTS.model_cache,
    help="Keep the compiled int8 graph for the next start, in a folder of your own.",
)
@click.option(
    "--batch-size",
    default=DEFAULTS.batch_size,
    type=click.IntRange(1, 1024),
    help="Images in a batch.",
)
@click.option(
    "--threads",
    default=DEFAULTS.threads,
    type=click.IntRange(0),
    help="Cores to use; 0: all that there are.",
)
@click.option(
    "--streams",
    default=DEFAULTS.streams,
    type=click.IntRange(0, 1024),
    help="Inference streams, one thread each; 0: one a core.",
)
@click.option(
    "--decode-threads",
    default=DEFAULTS.decode_threads,
    type=click.IntRange(0, 1024),
    help="Decoding threads; 0: one a core.",
)
@click.option(
    "--readers", default=DEFAULTS.readers, type=click.IntRange(1, 256), help="Reading threads."
)
@click.option(
    "--prefetch",
    default=DEFAULTS.prefetch,
    type=click.IntRange(1, 32),
    help="Batches decoded ahead.",
)
@click.option(
    "--follow-symlinks",
    is_flag=True,
    default=DEFAULTS.follow_symlinks,
    help="Read what symbolic links out of SOURCE lead to.",
)
@click.option(
    "--max-megabytes",
    default=DEFAULTS.max_megabytes,
    type=FiniteRange(0.1, 1e6),
    help="A larger file is a failed row.",
)
@click.option(
    "--max-megapixels",
    default=DEFAULTS.max_megapixels,
    type=FiniteRange(0.1, 1e6),
    help="A larger picture, by its header, is a failed row.",
)
@click.option(
    "--decode-seconds",
    default=DEFAULTS.decode_seconds,
    type=FiniteRange(1, 86_400),
    help="A file that takes its decoder longer is a failed row.",
)
@click.option(
    "--salvage-truncated",
    is_flag=True,
    default=DEFAULTS.salvage_truncated,
    help="Score what there is of a file that was cut off.",
)
@click.option(
    "--tta",
    default=DEFAULTS.tta,
    type=click.IntRange(1, MOST),
    help="Test-time augmentation: average over so many mirrored and turned views.",
)
@click.option(
    "--calibration/--no-calibration",
    default=DEFAULTS.calibration,
    help="Apply the engine's fitted temperature, if it has one; no label depends on it.",
)
@click.option(
    "--fail-over",
    metavar="PERCENT",
    default=DEFAULTS.fail_over,
    type=FiniteRange(0, 100),
    help="Stop with exit code 1 when more of the images than this fail.",
)
@click.option(
    "--sentinel-every",
    default=DEFAULTS.sentinel_every,
    type=click.IntRange(1),
    help="One batch in so many carries a sentinel, which checks the run.",
)
@click.option(
    "--hw-decoder-load",
    default=DEFAULTS.decoder.hw_decoder_load,
    type=FiniteRange(0, 1),
    help="Share of a batch that the GPU's JPEG engine decodes; between 0 and 1 rows may depend on "
    "their place in it.",
)
@click.option(
    "--preallocate",
    metavar="WIDTH HEIGHT",
    nargs=2,
    default=(DEFAULTS.decoder.preallocate_width_hint, DEFAULTS.decoder.preallocate_height_hint),
    type=click.IntRange(0, 65_500),
    help="Pixels that the GPU's JPEG engine lays its memory out for.",
)
@click.option("--overwrite", is_flag=True, help="Replace an existing table; start afresh.")
@click.option("--retry-failed", is_flag=True, help="Score a table's failed rows again.")
@click.pass_context
def score(
    ctx: click.Context,
    /,
    source: Path,
    out: Path,
    kind: str,
    overwrite: bool,
    retry_failed: bool,
    hw_decoder_load: float,
    preallocate: tuple[int, int],
    **options: object,
) -> None:
    """Score every JPEG and PNG below SOURCE into a table, one row an image.

    A run that was stopped in any way is resumed by the same command.

    Exit codes: 0 all scored; 1 could not be done; 2 usage; 3 done, but some
    images failed or some folders could not be read; 130 interrupted.
    """
    from hambatch.cli.summary import describe, show_plan
    from hambatch.score.run import score as run

    if overwrite and retry_failed:
        raise click.UsageError("--overwrite scores everything again, --retry-failed only failures")
    decoder = DecoderOptions(hw_decoder_load, *preallocate)
    chosen = ScoreOptions(decoder=decoder, **options)  # type: ignore[arg-type]
    again = {"overwrite": overwrite, "retry_failed": retry_failed}
    outcome = run(source, out, kind, chosen, **again, progress=show_rows, tell=show_plan)
    click.echo(describe(outcome, out), err=True)
    ctx.exit(ExitCode.OK if outcome.complete else ExitCode.SOME_IMAGES_FAILED)
