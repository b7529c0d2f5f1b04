"""`hambatch bench`: latency and throughput, and what bounds them."""

import sys
from collections.abc import Callable, Iterable
from functools import reduce
from pathlib import Path
from typing import Any, TypeVar

import click

from hambatch.bench.options import (
    REPEATS_AT_MOST,
    BenchEngineOptions,
    BenchPipelineOptions,
    BenchScoreOptions,
)
from hambatch.cli.bench_compare import compare
from hambatch.cli.device import Device
from hambatch.cli.finite import FiniteRange
from hambatch.cli.listed import Listed

ENGINE, PIPELINE, SCORE = BenchEngineOptions(), BenchPipelineOptions(), BenchScoreOptions()

BACKENDS = click.Choice(["openvino", "tensorrt", "keras"])
LOADS = FiniteRange(0, 1)
LOAD_HELP = "Share of a group that the GPU's JPEG engine decodes."
DEVICE_HELP = "auto, cpu, gpu, or the number of a GPU, as CUDA counts."
SIZES, COUNTS = click.IntRange(1, 1024), click.IntRange(0, 1024)
REQUEST_SIZES = click.IntRange(0, 1024)

Options = BenchEngineOptions | BenchPipelineOptions | BenchScoreOptions
Command = TypeVar("Command", bound=Callable[..., Any])


@click.group(context_settings={"show_default": True})
def bench() -> None:
    """Measure latency and throughput, on your images or on generated ones."""


bench.add_command(compare)


def shared(defaults: Options) -> Callable[[Command], Command]:
    """Add what all measurements take."""
    decorators = (
        click.option(
            "--plots", type=click.Path(path_type=Path, file_okay=False), help="Folder for PNGs."
        ),
        click.option("--out", type=click.Path(path_type=Path), help="JSON result to write."),
        click.option(
            "--count",
            default=defaults.count,
            type=click.IntRange(1, 10**6),
            help="Images a repeat; fewer files go round again.",
        ),
        click.option(
            "--repeats",
            default=defaults.repeats,
            type=click.IntRange(1, REPEATS_AT_MOST),
            help="Turns that count; one more comes before them, to warm up.",
        ),
        click.option(
            "--engine", default=defaults.engine, help="Name of an installed engine, or a folder."
        ),
        click.argument("source", required=False, type=click.Path(path_type=Path)),
    )
    return lambda command: reduce(lambda made, decorate: decorate(made), decorators, command)


@bench.command("engine")
@shared(ENGINE)
@click.option("--device", default=ENGINE.device, type=Device(), help=DEVICE_HELP)
@click.option("--backend", default=ENGINE.backend, type=Listed(BACKENDS))
@click.option(
    "--precision", default=ENGINE.precision, type=Listed(click.STRING), help="As the engine has."
)
@click.option(
    "--batch-size",
    default=ENGINE.batch_size,
    type=Listed(REQUEST_SIZES),
    help="Images a request; 0: what score uses.",
)
@click.option(
    "--streams",
    default=ENGINE.streams,
    type=Listed(COUNTS),
    help="Requests at the same time; 0: as many as the cores allow.",
)
@click.option("--threads", default=ENGINE.threads, type=Listed(SIZES), help="Threads a stream.")
@click.option(
    "--percentile",
    default=ENGINE.percentile,
    type=FiniteRange(1, 99.99),
    help="Of latencies, to be valid with 99 % confidence.",
)
@click.option(
    "--samples",
    default=ENGINE.samples,
    type=click.IntRange(0, 10**7),
    help="Latencies to measure; 0: as many as the percentile needs.",
)
@click.option(
    "--max-seconds",
    default=ENGINE.max_seconds,
    type=FiniteRange(0.01, 86_400),
    help="Of measuring latencies, a combination.",
)
def engine(source: Path | None, out: Path | None, plots: Path | None, **options: object) -> None:
    """Inference alone, on ready arrays; lists like 1,2,4,8 are swept, every combination."""
    from hambatch.bench.engine_bench import bench_engine

    chosen = BenchEngineOptions(**options)  # type: ignore[arg-type]
    run(bench_engine, source, chosen, out, plots)


@bench.command("pipeline")
@shared(PIPELINE)
@click.option("--device", default=PIPELINE.device, type=Device(), help=DEVICE_HELP)
@click.option(
    "--batch-size", default=PIPELINE.batch_size, type=Listed(SIZES), help="Images a group."
)
@click.option(
    "--decode-threads",
    default=PIPELINE.decode_threads,
    type=Listed(COUNTS),
    help="Decoding threads; 0: one a core.",
)
@click.option(
    "--readers", default=PIPELINE.readers, type=click.IntRange(1, 256), help="Reading threads."
)
@click.option(
    "--hw-decoder-load", default=PIPELINE.hw_decoder_load, type=Listed(LOADS), help=LOAD_HELP
)
def pipeline(source: Path | None, out: Path | None, plots: Path | None, **options: object) -> None:
    """Read alone; read, decode and resize. Lists like 16,32 are swept, every combination."""
    from hambatch.bench.pipeline_bench import bench_pipeline

    chosen = BenchPipelineOptions(**options)  # type: ignore[arg-type]
    run(bench_pipeline, source, chosen, out, plots)


@bench.command("score")
@shared(SCORE)
@click.option("--device", default=SCORE.device, type=Device(), help=DEVICE_HELP)
@click.option("--backend", default=SCORE.backend, type=click.Choice(["auto", *BACKENDS.choices]))
@click.option("--precision", default=SCORE.precision, help="As the engine has.")
@click.option("--batch-size", default=SCORE.batch_size, type=SIZES, help="Images a group.")
@click.option(
    "--threads", default=SCORE.threads, type=COUNTS, help="Cores to use; 0: all that there are."
)
@click.option(
    "--streams", default=SCORE.streams, type=COUNTS, help="Inference streams; 0: one a core."
)
@click.option(
    "--decode-threads",
    default=SCORE.decode_threads,
    type=COUNTS,
    help="Decoding threads; 0: one a core.",
)
@click.option(
    "--readers", default=SCORE.readers, type=click.IntRange(1, 256), help="Reading threads."
)
@click.option("--hw-decoder-load", default=SCORE.hw_decoder_load, type=LOADS, help=LOAD_HELP)
def score(source: Path | None, out: Path | None, plots: Path | None, **options: object) -> None:
    """The stages of a run apart, the whole run, and how near it is to its ceiling."""
    from hambatch.bench.score_bench import bench_score

    chosen = BenchScoreOptions(**options)  # type: ignore[arg-type]
    run(bench_score, source, chosen, out, plots)


def run(
    measure: Callable[..., dict[str, Any]],
    source: Path | None,
    options: object,
    out: Path | None,
    plots: Path | None,
) -> None:
    """Measure, write, and say what was found."""
    from hambatch.bench.outputs import check_outputs, write_outputs
    from hambatch.bench.report import as_text

    check_outputs(out, plots)
    result = measure(source, options, show_turns)
    written = write_outputs(result, out, plots)
    click.echo("".join(f"Wrote {path}\n" for path in written), nl=False, err=True)
    click.echo(as_text(result))


def show_turns(schedule: Iterable[tuple[int, str]], total: int) -> Iterable[tuple[int, str]]:
    """Pass turns on, showing how many are done."""
    from tqdm import tqdm

    return tqdm(schedule, total=total, unit=" turns", disable=not sys.stderr.isatty())
