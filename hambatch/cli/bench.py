"""`hambatch bench`: latency and throughput, and what bounds them."""

import json
from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import Any

import click

from hambatch.bench.options import (
    REPEATS_AT_MOST,
    BenchCompareOptions,
    BenchEngineOptions,
    BenchPipelineOptions,
    BenchScoreOptions,
)
from hambatch.cli.help import Group
from hambatch.cli.parameters import (
    Decorated,
    Device,
    FiniteRange,
    Listed,
    OutputFile,
    OutputFolder,
    SourcePath,
    option_of,
)
from hambatch.errors import ExitCode
from hambatch.system.output_names import JSON

ENGINE, PIPELINE, SCORE = BenchEngineOptions(), BenchPipelineOptions(), BenchScoreOptions()

BACKENDS = click.Choice(["openvino", "tensorrt", "keras"])
SIZES, COUNTS = click.IntRange(1, 1024), click.IntRange(0, 1024)
LOADS, READERS = FiniteRange(0, 1), click.IntRange(1, 256)
PATH = click.Path(path_type=Path)

DECODE_THREADS = "Decoding threads; 0: one per core."
LOAD = "Share of a batch that the GPU's JPEG engine decodes."

Words = tuple[Path, ...]

Options = BenchEngineOptions | BenchPipelineOptions | BenchScoreOptions


@click.group(cls=Group, context_settings={"show_default": True})
def bench() -> None:
    """Measure latency and throughput, on your images or on generated ones."""


of_engine, of_pipeline, of_score = map(option_of, (ENGINE, PIPELINE, SCORE))


def shared(defaults: Options) -> Callable[[Decorated], Decorated]:
    """Add what all measurements take."""
    option = option_of(defaults)
    device = "auto, cpu, gpu, or the number of a GPU, as CUDA counts."
    count = "Images per repeat; fewer files are used again."
    repeats = "Turns that count; one more comes before them, to warm up."
    decorators: tuple[Callable[..., Any], ...] = (
        option("--device", device, Device()),
        click.option("--plots", type=OutputFolder(file_okay=False), help="Folder for PNGs."),
        click.option("--out", type=OutputFile(JSON, "JSON"), help="JSON result to write."),
        option("--count", count, click.IntRange(1, 10**6)),
        option("--repeats", repeats, click.IntRange(1, REPEATS_AT_MOST)),
        option("--engine", "Name of an installed engine, or a folder.", click.STRING),
        click.argument("sources", metavar="[SOURCE]...", nargs=-1, type=SourcePath()),
    )
    return lambda command: reduce(lambda made, decorate: decorate(made), decorators, command)


@bench.command(
    "engine", examples="hambatch bench engine ./images --batch-size 1,4,16 --out engine.json"
)
@shared(ENGINE)
@of_engine("--backend", "Backends to measure.", Listed(BACKENDS))
@of_engine("--precision", "Precisions of the engine to measure.", Listed(click.STRING))
@of_engine("--batch-size", "Images per request; 0: what score uses.", Listed(COUNTS))
@of_engine("--streams", "Requests at once; 0: as many as the cores allow.", Listed(COUNTS))
@of_engine("--threads", "Threads per stream.", Listed(SIZES))
@of_engine("--percentile", "Percentile of latencies, with 99 % confidence.", FiniteRange(1, 99.99))
@of_engine("--samples", "Latencies to take; 0: what --percentile needs.", click.IntRange(0, 10**7))
@of_engine("--max-seconds", "Most seconds of latencies per combination.", FiniteRange(0.01, 86_400))
def engine(sources: Words, out: Path | None, plots: Path | None, **options: object) -> None:
    """Inference alone, on arrays in memory; every combination of listed values."""
    from hambatch.bench.engine import bench_engine

    run(bench_engine, sources, BenchEngineOptions(**options), out, plots)  # type: ignore[arg-type]


@bench.command("pipeline", examples="hambatch bench pipeline ./images --decode-threads 1,2")
@shared(PIPELINE)
@of_pipeline("--batch-size", "Images per batch.", Listed(SIZES))
@of_pipeline("--decode-threads", DECODE_THREADS, Listed(COUNTS))
@of_pipeline("--readers", "Reading threads.", READERS)
@of_pipeline("--hw-decoder-load", LOAD, Listed(LOADS))
def pipeline(sources: Words, out: Path | None, plots: Path | None, **options: object) -> None:
    """Read alone; read, decode and resize. Lists like 16,32: every combination is measured."""
    from hambatch.bench.pipeline import bench_pipeline

    run(bench_pipeline, sources, BenchPipelineOptions(**options), out, plots)  # type: ignore[arg-type]


@bench.command("score", examples="hambatch bench score ./images --out score.json --plots plots")
@shared(SCORE)
@of_score("--backend", "Backend, as of score.", click.Choice(["auto", *BACKENDS.choices]))
@of_score("--precision", "Precision of the engine.", click.STRING)
@of_score("--batch-size", "Images per batch.", SIZES)
@of_score("--threads", "Cores to use; 0: all that there are.", COUNTS)
@of_score("--streams", "Inference streams; 0: one per core.", COUNTS)
@of_score("--decode-threads", DECODE_THREADS, COUNTS)
@of_score("--readers", "Reading threads.", READERS)
@of_score("--hw-decoder-load", LOAD, LOADS)
def score(sources: Words, out: Path | None, plots: Path | None, **options: object) -> None:
    """The stages of a run apart, the whole run, and how near it is to its ceiling."""
    from hambatch.bench.score import bench_score

    run(bench_score, sources, BenchScoreOptions(**options), out, plots)  # type: ignore[arg-type]


def run(
    measure: Callable[..., dict[str, Any]],
    sources: Words,
    options: Options,
    out: Path | None,
    plots: Path | None,
) -> None:
    """Measure, write, and print the result."""
    from hambatch.bench.report import as_text
    from hambatch.bench.result import check_outputs, write_outputs
    from hambatch.cli.messages import say
    from hambatch.cli.progress import progress

    check_outputs(out, plots)
    result = measure(sources, options, progress("turns"))
    written = write_outputs(result, out, plots)
    if written:
        say("written", "\n".join(f"Wrote {path}" for path in written), paths=[*map(str, written)])
    click.echo(as_text(result))


class Replacement(click.ParamType[tuple[str, str]]):
    """Two texts with ``=`` between them."""

    name = "replacement"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Split at the first ``=``; neither text may be empty."""
        old, _, new = value.partition("=")
        return (old, new) if old and new else self.fail(f"{value!r} is not OLD=NEW.", param, ctx)


@bench.command("compare", examples="hambatch bench compare before.json after.json")
@click.argument("a", metavar="A.json", type=PATH)
@click.argument("b", metavar="B.json", type=PATH)
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

    Exit codes: 0 faster or noise; 1 cannot be compared; 2 wrong command line; 3 slower.
    """
    from hambatch.bench import compare_report
    from hambatch.bench.compare import compare as compare_files

    found = compare_files(**given, options=BenchCompareOptions(change))
    text = compare_report.format_comparison(found)
    click.echo(json.dumps(compare_report.as_json(found), indent=2) if as_json else text)
    ctx.exit(ExitCode.SLOWER if found.word == "slower" else ExitCode.OK)
