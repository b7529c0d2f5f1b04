"""`hambatch bench`: latency and throughput, and what bounds them."""

import json
from collections.abc import Callable
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
from hambatch.cli.help import Group
from hambatch.cli.parameters import Device, FiniteRange, Listed
from hambatch.errors import ExitCode

ENGINE, PIPELINE, SCORE = BenchEngineOptions(), BenchPipelineOptions(), BenchScoreOptions()

BACKENDS = click.Choice(["openvino", "tensorrt", "keras"])
SIZES, COUNTS = click.IntRange(1, 1024), click.IntRange(0, 1024)
LOADS, READERS = FiniteRange(0, 1), click.IntRange(1, 256)

DECODE_THREADS = "Decoding threads; 0: one a core."
LOAD = "Share of a batch that the GPU's JPEG engine decodes."

Options = BenchEngineOptions | BenchPipelineOptions | BenchScoreOptions
Command = TypeVar("Command", bound=Callable[..., Any])


@click.group(cls=Group, context_settings={"show_default": True})
def bench() -> None:
    """Measure latency and throughput, on your images or on generated ones."""


def option(defaults: object, flag: str, kind: Any, words: str = "") -> Callable[[Command], Command]:
    """Add an option whose default is the field of that name."""
    default = getattr(defaults, flag.removeprefix("--").replace("-", "_"))
    return click.option(flag, default=default, type=kind, help=words or None)


def shared(defaults: Options) -> Callable[[Command], Command]:
    """Add what all measurements take."""
    device = "auto, cpu, gpu, or the number of a GPU, as CUDA counts."
    count = "Images a repeat; fewer files are used again."
    repeats = "Turns that count; one more comes before them, to warm up."
    png, json_file = click.Path(path_type=Path, file_okay=False), click.Path(path_type=Path)
    decorators: tuple[Callable[..., Any], ...] = (
        option(defaults, "--device", Device(), device),
        click.option("--plots", type=png, help="Folder for PNGs."),
        click.option("--out", type=json_file, help="JSON result to write."),
        option(defaults, "--count", click.IntRange(1, 10**6), count),
        option(defaults, "--repeats", click.IntRange(1, REPEATS_AT_MOST), repeats),
        option(defaults, "--engine", click.STRING, "Name of an installed engine, or a folder."),
        click.argument("source", required=False, type=click.Path(path_type=Path)),
    )
    return lambda command: reduce(lambda made, decorate: decorate(made), decorators, command)


@bench.command(
    "engine", examples="hambatch bench engine ./images --batch-size 1,4,16 --out engine.json"
)
@shared(ENGINE)
@option(ENGINE, "--backend", Listed(BACKENDS))
@option(ENGINE, "--precision", Listed(click.STRING), "As the engine has.")
@option(ENGINE, "--batch-size", Listed(COUNTS), "Images a request; 0: what score uses.")
@option(ENGINE, "--streams", Listed(COUNTS), "Requests at once; 0: as many as the cores allow.")
@option(ENGINE, "--threads", Listed(SIZES), "Threads a stream.")
@option(ENGINE, "--percentile", FiniteRange(1, 99.99), "Of latencies, with 99 % confidence.")
@option(ENGINE, "--samples", click.IntRange(0, 10**7), "Latencies; 0: what --percentile needs.")
@option(ENGINE, "--max-seconds", FiniteRange(0.01, 86_400), "Of latencies, a combination.")
def engine(source: Path | None, out: Path | None, plots: Path | None, **options: object) -> None:
    """Inference alone, on arrays in memory; lists like 1,2,4,8: every combination is measured."""
    from hambatch.bench.engine import bench_engine

    run(bench_engine, source, BenchEngineOptions(**options), out, plots)  # type: ignore[arg-type]


@bench.command("pipeline", examples="hambatch bench pipeline ./images --decode-threads 1,2")
@shared(PIPELINE)
@option(PIPELINE, "--batch-size", Listed(SIZES), "Images a batch.")
@option(PIPELINE, "--decode-threads", Listed(COUNTS), DECODE_THREADS)
@option(PIPELINE, "--readers", READERS, "Reading threads.")
@option(PIPELINE, "--hw-decoder-load", Listed(LOADS), LOAD)
def pipeline(source: Path | None, out: Path | None, plots: Path | None, **options: object) -> None:
    """Read alone; read, decode and resize. Lists like 16,32: every combination is measured."""
    from hambatch.bench.pipeline import bench_pipeline

    run(bench_pipeline, source, BenchPipelineOptions(**options), out, plots)  # type: ignore[arg-type]


@bench.command("score", examples="hambatch bench score ./images --out score.json --plots plots")
@shared(SCORE)
@option(SCORE, "--backend", click.Choice(["auto", *BACKENDS.choices]))
@option(SCORE, "--precision", click.STRING, "As the engine has.")
@option(SCORE, "--batch-size", SIZES, "Images a batch.")
@option(SCORE, "--threads", COUNTS, "Cores to use; 0: all that there are.")
@option(SCORE, "--streams", COUNTS, "Inference streams; 0: one a core.")
@option(SCORE, "--decode-threads", COUNTS, DECODE_THREADS)
@option(SCORE, "--readers", READERS, "Reading threads.")
@option(SCORE, "--hw-decoder-load", LOADS, LOAD)
def score(source: Path | None, out: Path | None, plots: Path | None, **options: object) -> None:
    """The stages of a run apart, the whole run, and how near it is to its ceiling."""
    from hambatch.bench.score import bench_score

    run(bench_score, source, BenchScoreOptions(**options), out, plots)  # type: ignore[arg-type]


def run(
    measure: Callable[..., dict[str, Any]],
    source: Path | None,
    options: Options,
    out: Path | None,
    plots: Path | None,
) -> None:
    """Measure, write, and print the result."""
    from hambatch.bench.report import as_text
    from hambatch.bench.result import check_outputs, write_outputs
    from hambatch.cli.progress import progress

    check_outputs(out, plots)
    result = measure(source, options, progress("turns"))
    written = write_outputs(result, out, plots)
    click.echo("".join(f"Wrote {path}\n" for path in written), nl=False, err=True)
    click.echo(as_text(result))


class Replacement(click.ParamType[tuple[str, str]]):
    """Two texts with ``=`` between them."""

    name = "replacement"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Split at the first ``=``; neither text may be empty."""
        old, _, new = value.partition("=")
        return (old, new) if old and new else self.fail(f"{value!r} is not OLD=NEW.", param, ctx)


@bench.command("compare", examples="hambatch bench compare before.json after.json")
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
    default=BenchCompareOptions.change,
    type=FiniteRange(0.1, 1000),
    help="Refuse fewer repeats than it takes to see this change.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
@click.pass_context
def compare(ctx: click.Context, /, *, as_json: bool, change: float, **given: Any) -> None:
    """Say whether result B is faster than A, slower, or whether it is noise.

    Exit codes: 0 faster or noise; 1 cannot be compared; 2 usage; 3 slower.
    """
    from hambatch.bench import compare_report
    from hambatch.bench.compare import compare as compare_files

    found = compare_files(**given, options=BenchCompareOptions(change))
    text = compare_report.format_comparison(found)
    click.echo(json.dumps(compare_report.as_json(found), indent=2) if as_json else text)
    ctx.exit(ExitCode.SLOWER if found.word == "slower" else ExitCode.OK)
