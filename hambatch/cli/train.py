"""`hambatch train`: one of two recipes, from a split table to an engine."""

import sys
from collections.abc import Mapping
from dataclasses import Field, astuple, fields
from pathlib import Path
from typing import Any

import click

from hambatch.cli.help import Command
from hambatch.cli.messages import messages, say
from hambatch.cli.parameters import Decorated, FiniteRange
from hambatch.training.extra_options import Extra, ExtraOptions, extra_from
from hambatch.training.option_fields import Range
from hambatch.training.options import PUBLISHED_ONLY, FineTuneOptions, TrainOptions
from hambatch.training.view_options import Appearance, Augmentation, Jitter


class FoldCount(click.IntRange):
    """0 for none, or 2 to 20: one fold leaves nothing to train on."""

    name = "folds"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Refuse 1 as well as what is out of range."""
        count = super().convert(value, param, ctx)
        if count == 1:
            self.fail("1 fold leaves nothing to train on; wanted 0, or 2 to 20.", param, ctx)
        return count


class ExtraSource(click.ParamType[Extra]):
    """``TABLE[#SET]=WEIGHT[@SIDE]``."""

    name = "source"

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """Show its parts."""
        return "TABLE[#SET]=WEIGHT[@SIDE]"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Extra:
        """Refuse what cannot be read, and why."""
        if isinstance(value, Extra):
            return value
        try:
            return extra_from(str(value))
        except ValueError as error:
            self.fail(f"{value!r} cannot be read: {error}.", param, ctx)


def fields_of(*kinds: type[Any]) -> list[Field[Any]]:
    """List the fields that are options, in the order of ``--help``."""
    return [field for kind in kinds for field in fields(kind) if field.metadata]


MULTIPLE = frozenset({"extra", "extra_licence", "extra_images"})
"""Options that may be repeated."""

OF_FINETUNE = (FineTuneOptions, Jitter, Appearance, ExtraOptions)

FINETUNE_ONLY = frozenset(field.name for field in fields_of(*OF_FINETUNE))


def recipe_options(command: Decorated) -> Decorated:
    """Give a command one option for each field of the recipes, in their order."""
    kinds = TrainOptions, Augmentation, *OF_FINETUNE
    for field in reversed(fields_of(*kinds)):
        name, text = "--" + field.name.replace("_", "-"), field.metadata["help"]
        recipe = "finetune: " if field in fields_of(Jitter, Appearance) else ""
        add = click.option(
            f"{name}/--no-{name[2:]}" if field.type is bool else name,
            type=_parameter_type(field),
            default=field.default,
            multiple=field.name in MULTIPLE,
            help=recipe + text,
        )
        command = add(command)
    return command


def _parameter_type(field: Field[Any]) -> Any:
    values = field.metadata["values"]
    if field.name in MULTIPLE:
        return ExtraSource() if field.name == "extra" else str
    if field.name == "folds":
        return FoldCount(0, 20)
    if isinstance(values, Range):
        kind = click.IntRange if field.type is int else FiniteRange
        return kind(*astuple(values))
    return click.Choice(values) if values else field.type


def options_from(values: Mapping[str, Any]) -> TrainOptions:
    """Build the configuration from the values of all options."""

    def build(kind: type[Any], **nested: Any) -> Any:
        return kind(**{field.name: values[field.name] for field in fields_of(kind)}, **nested)

    finetune = build(
        FineTuneOptions,
        jitter=build(Jitter),
        appearance=build(Appearance),
        extras=build(ExtraOptions),
    )
    options: TrainOptions = build(TrainOptions, augmentation=build(Augmentation), finetune=finetune)
    return options


def refuse_options_of_other_recipe(context: click.Context) -> None:
    """Raise a usage error for an option that was set and that the recipe does not use."""
    recipe = context.params["recipe"]
    published = recipe == "published"
    foreign, other = (FINETUNE_ONLY, "finetune") if published else (PUBLISHED_ONLY, "published")
    for option in context.command.params:
        source = context.get_parameter_source(option.name or "")
        if option.name in foreign and source is not click.core.ParameterSource.DEFAULT:
            raise click.UsageError(
                f"{option.opts[0]} is an option of --recipe {other}; the recipe is {recipe}."
            )


HEADINGS = {
    **dict.fromkeys(("recipe", "weights", "weights_licence", "seed", "folds"), "Training"),
    **dict.fromkeys(("weights_licence_file", "stride_in"), "Training"),
    **dict.fromkeys(("hidden_units", "dropout"), "Training"),
    **{
        field.name: "Views of the training images"
        for field in fields_of(Augmentation, Jitter, Appearance)
    },
    **{field.name: "Fine-tuning (--recipe finetune)" for field in fields_of(FineTuneOptions)},
    **{
        field.name: "Images of other sources (--recipe finetune)"
        for field in fields_of(ExtraOptions)
    },
    **dict.fromkeys(PUBLISHED_ONLY, "Published recipe (--recipe published)"),
}

EXAMPLES = """
hambatch train --data split.csv --out engines/mine
hambatch train --data split.csv --folds 5 --out folds.json
"""


@click.command(cls=Command, examples=EXAMPLES, headings=HEADINGS)
@click.option(
    "--data", required=True, type=click.Path(path_type=Path), help="Split table of prepare (CSV)."
)
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    help="Engine folder to make; with --folds, without --final, the report (JSON).",
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
    data: Path, out: Path, cache: Path | None, out_of_fold: Path | None, **values: object
) -> None:
    """Train an engine from a split table, or cross-validate the recipe with --folds.

    Interrupted, the same command resumes from the last checkpoint; work files lie
    in OUT.work.
    """
    from hambatch.evaluation.report import format_report
    from hambatch.system.array_cache import default_cache
    from hambatch.training.folds import format_folds
    from hambatch.training.progress import log_to
    from hambatch.training.train import train as train_engine
    from hambatch.training.train import train_folds

    refuse_options_of_other_recipe(click.get_current_context())
    options = options_from(values)
    log_to(None if messages().as_json else sys.stderr, quiet=messages().quiet)
    cache = cache or default_cache()
    if options.folds and not options.final:
        click.echo(format_folds(train_folds(data, out, cache, options)))
    else:
        manifest = train_engine(data, out, cache, options, out_of_fold)
        # Options are compared by these figures; the test images take no part in that.
        part = "val" if "val" in manifest.metrics else "test"
        click.echo(f"{_title(manifest.training, part)}\n{format_report(manifest.metrics[part])}")
    say("written", f"Wrote {out}.", paths=[str(out)])


def _title(training: Mapping[str, Any], part: str) -> str:
    if part == "test":
        return "Test images:"
    unit = "step" if "best_step" in training else "epoch"
    best = training[f"best_{unit}"]
    return f"Validation images, by the best {unit}, {best} (card.md has the test images):"
