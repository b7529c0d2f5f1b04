"""`hambatch train`: one of two recipes, from a split table to an engine."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from hambatch.cli.finetune_options import refuse_options_of_the_other
from hambatch.cli.train_options import options_from, recipe_options
from hambatch.config import TrainOptions


@click.command()
@click.option(
    "--data", required=True, type=click.Path(path_type=Path), help="Split table of prepare (CSV)."
)
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    help="Engine folder to make; with --folds the report (JSON).",
)
@click.option(
    "--cache",
    type=click.Path(path_type=Path),
    show_default="hambatch/features in the user's cache folder",
    help="Folder of computed features, shared by all runs.",
)
@click.option(
    "--out-of-fold",
    type=click.Path(path_type=Path),
    help="With --final: predictions of networks that did not see the images, to fit the "
    "temperature on.",
)
@recipe_options
def train(
    data: Path, out: Path, cache: Path | None, out_of_fold: Path | None, **chosen: object
) -> None:
    """Train an engine from a split table, or cross-validate the recipe with --folds.

    Interrupted, the same command goes on from the last checkpoint; work files lie
    in OUT.work.
    """
    from hambatch.evaluation.report import format_report
    from hambatch.training.feature_cache import default_cache
    from hambatch.training.fold_figures import format_folds
    from hambatch.training.progress import log_to
    from hambatch.training.train import train as train_engine
    from hambatch.training.train import train_folds

    refuse_options_of_the_other(click.get_current_context())
    options: TrainOptions = options_from(chosen)
    log_to(sys.stderr)
    where = cache or default_cache()
    if options.folds:
        click.echo(format_folds(train_folds(data, out, where, options)))
    else:
        manifest = train_engine(data, out, where, options, out_of_fold)
        # Options are chosen by what is seen here. The test images are to choose none.
        shown = "val" if "val" in manifest.metrics else "test"
        click.echo(f"{_what(manifest.training, shown)}\n{format_report(manifest.metrics[shown])}")
    click.echo(f"Wrote {out}.", err=True)


def _what(training: Mapping[str, Any], shown: str) -> str:
    if shown == "test":
        return "Test images:"
    unit = "step" if "best_step" in training else "epoch"
    best = training[f"best_{unit}"]
    return f"Validation images, by the best {unit}, {best} (of the test images tells card.md):"
