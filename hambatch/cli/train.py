"""`hambatch train`: one of two recipes, from a split table to an engine."""

import sys
from pathlib import Path

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
@recipe_options
def train(data: Path, out: Path, cache: Path | None, **chosen: object) -> None:
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
        click.echo(format_report(train_engine(data, out, where, options).metrics["test"]))
    click.echo(f"Wrote {out}.", err=True)
