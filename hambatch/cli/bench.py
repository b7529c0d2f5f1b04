"""`hambatch bench`: latency and throughput, and what bounds them."""

import json
import sys
from collections.abc import Callable, Iterable
from functools import reduce
from pathlib import Path
from typing import Any, TypeVar

import click

from hambatch.bench.options import (
    REPEATS_AT_MOST,
    BenchCompareOptions,
    BenchEngineOptions,
    BenchPipelineOptions,
    BenchScoreOptions,
)
from hambatch.cli.parameters import Device, FiniteRange, Listed
from hambatch.errors import ExitCode

DEFAULTS = BenchCompareOptions()


class Replacement(click.ParamType[tuple[str, str]]):
    """Two texts with ``=`` between them."""

    name = "replacement"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Split at the first ``=``; neither text may be empty."""
        old, _, new = value.partition("=")
        return (old, new) if old and new else self.fail(f"{value!r} is not OLD=NEW.", param, ctx)


@click.command()
@click.argument("a", metavar="A.json", type=click.Path(path_type=Path))
@click.argument("b", metavar="B.json", type=click.Path(path_type=Path))
@click.option(
    "--series",
    metavar="OLD=NEW",
    type=Replacement(),
    help="A's series with OLD in their names against B's with NEW there: fp32=int8.",
)
@click.option(
    "--change",
    metavar="PERCENT",
    default=DEFAULTS.change,
    type=FiniteRange(0.1, 1000),
    help="Refuse fewer repeats than it takes to see this change.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
@click.pass_context
def compare(ctx: click.Context, /, *, as_json: bool, **given: Any) -> None:
    """Say whether result B is faster than A, slower, or whether it is noise.

    Exit codes: 0 faster or noise; 1 cannot be compared; 2 usage; 3 slower.
    """
    from hambatch.bench import compare_report
    from hambatch.bench.compare import compare as run

    options = BenchCompareOptions(change=given.pop("change"))
    found = run(**given, options=options)
    text = compare_report.format_comparison(found)
    click.echo(json.dumps(compare_report.as_json(found), indent=2) if as_json else text)
    ctx.exit(ExitCode.SLOWER if found.word == "slower" else ExitCode.OK)


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
    from hambatch.bench.report import as_text
    from hambatch.bench.result import check_outputs, write_outputs

    check_outputs(out, plots)
    result = measure(source, options, show_turns)
    written = write_outputs(result, out, plots)
    click.echo("".join(f"Wrote {path}\n" for path in written), nl=False, err=True)
    click.echo(as_text(result))


def show_turns(schedule: Iterable[tuple[int, str]], total: int) -> Iterable[tuple[int, str]]:
    """Pass turns on, showing how many are done."""
    from tqdm import tqdm

    return tqdm(schedule, total=total, unit=" turns", disable=not sys.stderr.isatty())
