"""`hambatch engines`: what is installed or built, what it is, whether it is intact."""

import json
from pathlib import Path
from typing import Any

import click

from hambatch.checks.options import TuneOptions
from hambatch.cli.help import Group
from hambatch.cli.messages import say
from hambatch.cli.parameters import SourcePath, option_of
from hambatch.engines.backend_names import AUTO, BACKEND_OF_GATES, FASTEST_FIRST, OF_BACKEND
from hambatch.engines.measurements import KINDS, Kind
from hambatch.engines.options import DEFAULT_ENGINE
from hambatch.engines.tuned import LEAST_IMAGES
from hambatch.errors import ExitCode
from hambatch.training.options import CalibrateOptions

VERIFY_EXAMPLES = """
hambatch engines verify
hambatch engines verify engines/mine --gate --data split.csv
"""

TUNE_EXAMPLES = """
hambatch engines tune ./images
hambatch engines tune night.zip more --engine engines/mine --count 1000
hambatch engines tune --forget
"""

FIGURES_EXAMPLES = """
hambatch engines add-figures engines/mine test/evaluation.json --kind internal --name "test part"
hambatch engines add-figures engines/mine clinic/evaluation.json --kind external --name "our clinic"
"""


@click.group(cls=Group, context_settings={"show_default": True})
def engines() -> None:
    """List, show, verify, tune, calibrate, complete engines; add figures; TensorRT plans."""


@engines.command("list", examples="hambatch engines list")
def list_engines() -> None:
    """List the installed engines, one per line.

    Name, version, precisions, folder; between them the fitted temperature, the day of the last tune
    and the certificates that hold, if there are some.
    """
    from hambatch.checks.engines import engine_lines

    click.echo("\n".join(engine_lines()))


@engines.command(examples="hambatch engines show three-sources-resnet50")
@click.argument("engine", default=DEFAULT_ENGINE)
def show(engine: str) -> None:
    """Print the engine.json of ENGINE, a name or a folder."""
    from hambatch.engines.loading import find_engine
    from hambatch.engines.manifest import read_manifest

    click.echo(json.dumps(read_manifest(find_engine(engine)).to_json(), indent=2))


@engines.command(examples=VERIFY_EXAMPLES)
@click.argument("engine", default=DEFAULT_ENGINE)
@click.option(
    "--gate", is_flag=True, help="Measure what cheaper precisions cost against fp32, here."
)
@click.option(
    "--data",
    metavar="SPLIT",
    type=click.Path(path_type=Path),
    help="With --gate: a table of hambatch prepare; its split gate is scored, else val.",
)
@click.option(
    "--precision",
    default=AUTO,
    type=click.Choice((AUTO, *FASTEST_FIRST)),
    help="With --gate: what to measure; auto: all that ENGINE and this processor have.",
)
@click.option("--dry-run", is_flag=True, help="With --gate: leave engine.json as it is.")
@click.pass_context
def verify(
    ctx: click.Context, /, engine: str, gate: bool, data: Path | None, precision: str, dry_run: bool
) -> None:
    """Hash every file of ENGINE, load its graphs, and check them against engine.json.

    With --gate precisions are compared with fp32 instead, on the split gate of a table (on val
    where a table has none), and the results are written to engine.json, for this backend and
    instruction set. Exit codes: 0 right, or all passed; 1 wrong, or one not passed; 2 wrong
    command line.
    """
    from hambatch.engines.loading import find_engine

    if gate != (data is not None) or (not gate and (dry_run or precision != AUTO)):
        raise click.UsageError("--gate, --data SPLIT, --precision and --dry-run go together")
    if data is None:
        from hambatch.checks.engines import verify_engine

        click.echo(verify_engine(find_engine(engine)))
        return
    from hambatch.training.gate import gate_engine

    passed = gate_engine(
        find_engine(engine), data, click.echo, precision=precision, dry_run=dry_run
    )
    ctx.exit(ExitCode.OK if passed else ExitCode.FAILED)


of_tune = option_of(TuneOptions())


@engines.command(examples=TUNE_EXAMPLES, headings={"forget": "Output"})
@click.argument("sources", metavar="[SOURCE]...", nargs=-1, type=SourcePath())
@of_tune("--engine", "Name of an installed engine, or a folder.")
@of_tune(
    "--count",
    "Images, spread evenly over all that there are.",
    click.IntRange(LEAST_IMAGES, 10_000),
)
@click.option("--forget", is_flag=True, help="Remove what is kept; without SOURCE.")
def tune(sources: tuple[Path, ...], engine: str, count: int, forget: bool) -> None:
    """Choose the precision for this machine by the images of each SOURCE; no label is needed.

    Every precision of this processor is compared with fp32: labels that change, how far
    probabilities drift, images/s of inference alone. --precision auto then takes the fastest that
    is within its limits, unless its accuracy gate failed. The result is kept in your cache, for
    the engine's graphs, this processor and the versions of the libraries; it holds nothing of the
    images.
    """
    from hambatch.engines.loading import find_engine

    if forget == bool(sources):
        raise click.UsageError("give either SOURCE... or --forget")
    folder = find_engine(engine)
    if forget:
        from hambatch.checks.tune import forget_choice

        click.echo(forget_choice(folder))
        return
    from hambatch.checks.tune import tune_engine, tuned_text
    from hambatch.cli.progress import progress

    click.echo(
        tuned_text(tune_engine(folder, sources, count, progress("precisions"), progress("turns")))
    )


@engines.command(examples="hambatch engines calibrate engines/mine --data split.csv")
@click.argument("engine", default=DEFAULT_ENGINE)
@click.option(
    "--data",
    metavar="SPLIT",
    required=True,
    type=click.Path(path_type=Path),
    help="Table of hambatch prepare, the one that the engine was trained with.",
)
@click.option(
    "--split",
    multiple=True,
    default=CalibrateOptions().split,
    type=click.Choice(["train", "val", "gate", "test"]),
    help="Part of the table to fit on; may be repeated. test is refused.",
)
@click.option(
    "--predictions",
    type=click.Path(path_type=Path),
    help="Uncalibrated table of hambatch score, or of train --folds; else the part is scored.",
)
@click.option(
    "--precision",
    default=CalibrateOptions().precision,
    type=click.Choice(OF_BACKEND[BACKEND_OF_GATES]),
    help="Precision to score in, where no --predictions are given.",
)
@click.option("--dry-run", is_flag=True, help="Leave the engine as it is.")
def calibrate(
    engine: str,
    data: Path,
    predictions: Path | None,
    dry_run: bool,
    **chosen: Any,
) -> None:
    """Fit ENGINE's temperature on lesions that it was not trained on, and write it down.

    It is applied by hambatch score from then on; tables made before are of another engine.
    """
    from hambatch.engines.loading import find_engine
    from hambatch.training.calibrate import calibrate_engine

    calibrate_engine(
        find_engine(engine),
        data,
        CalibrateOptions(**chosen),
        click.echo,
        predictions=predictions,
        dry_run=dry_run,
    )


@engines.command(examples="hambatch engines complete engines/mine --data split.csv")
@click.argument("engine", default=DEFAULT_ENGINE)
@click.option(
    "--data",
    metavar="SPLIT",
    required=True,
    type=click.Path(path_type=Path),
    help="Table of hambatch prepare, the one that the engine was trained with.",
)
def complete(engine: str, data: Path) -> None:
    """Add the list of its training images, as hashes, to ENGINE: evaluate then recognises them.

    For engines of earlier versions; hambatch train writes the list. Tables that ENGINE made stay
    valid.
    """
    from hambatch.engines.loading import find_engine
    from hambatch.training.complete import complete_engine

    complete_engine(find_engine(engine), data, click.echo)


@engines.command(
    "add-figures", examples=FIGURES_EXAMPLES, headings={"kind": "Input", "name": "Input"}
)
@click.argument("engine")
@click.argument("evaluation", metavar="EVALUATION.JSON", type=click.Path(path_type=Path))
@click.option(
    "--kind",
    required=True,
    type=click.Choice(KINDS),
    help="internal: held-out part of the split table; held-out: of another training source; "
    "left-out: of a source that another training of the recipe did not see; degraded: changed "
    "copies; external: any other source.",
)
@click.option(
    "--name",
    required=True,
    metavar="TEXT",
    help="What the card calls the images. Figures of the same name are replaced.",
)
def add_figures(engine: str, evaluation: Path, kind: Kind, name: str) -> None:
    """Add the figures of an evaluation.json of hambatch evaluate to ENGINE and its card.

    Figures on images that were trained on are refused. So are predictions of another engine, except
    for left-out, which needs them. Tables that ENGINE made stay valid.
    """
    from hambatch.engines.loading import find_engine
    from hambatch.training.add_figures import About, add_figures

    add_figures(find_engine(engine), evaluation, About(kind, name), click.echo)


@engines.command(
    "remove-figures",
    examples="hambatch engines remove-figures engines/mine --name 'ISIC 2017'",
    headings={"name": "Input"},
)
@click.argument("engine")
@click.option("--name", required=True, metavar="TEXT", help="What the card calls the images.")
def remove_figures(engine: str, name: str) -> None:
    """Remove figures on other images from ENGINE and its card. Tables that it made stay valid."""
    from hambatch.engines.loading import find_engine
    from hambatch.training.add_figures import remove_figures

    remove_figures(find_engine(engine), name, click.echo)


@engines.command(examples="hambatch engines plans")
def plans() -> None:
    """List the TensorRT plans built here, one per line, and whether each fits this machine.

    Key, engine, precision, largest batch, GPU, TensorRT, size, date, state.
    """
    from hambatch.backends.tensorrt.plans.kept import plan_lines

    click.echo("\n".join(plan_lines()))


@engines.command(examples="hambatch engines prune")
@click.option("--all", "everything", is_flag=True, help="Remove every plan.")
def prune(everything: bool) -> None:
    """Remove TensorRT plans that are damaged, or outdated for a GPU that is here."""
    from hambatch.backends.tensorrt.plans.kept import prune_plans

    say("pruned", str(prune_plans(everything=everything)))
