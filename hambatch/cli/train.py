"""`hambatch train`: one of two recipes, from a split table to an engine."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import Field, fields
from pathlib import Path
from typing import Any, TypeVar

import click

from hambatch.cli.parameters import FiniteRange
from hambatch.training.options import (
    PUBLISHED_ONLY,
    Augmentation,
    FineTuneOptions,
    Jitter,
    TrainOptions,
)

COUNT = click.IntRange(1)


SHARE = FiniteRange(0, 1, max_open=True)


FINETUNE_HELP: dict[str, tuple[Any, str]] = {
    "side": (
        click.IntRange(64, 512),
        "Of the images that the network sees, in pixels; a multiple of 32.",
    ),
    "unfreeze": (click.Choice(("conv5", "conv4", "conv3")), "The lowest stage that is trained."),
    "steps": (COUNT, "Batches, at most."),
    "peak_learning_rate": (FiniteRange(0, min_open=True), "The head's, at its highest."),
    "base_rate": (
        FiniteRange(0, 1, min_open=True),
        "The learning rate of conv5 as a share of the head's.",
    ),
    "stage_decay": (
        FiniteRange(0, 1, min_open=True),
        "That of a stage below as a share of that of the stage above.",
    ),
    "warmup": (SHARE, "Share of the steps in which the learning rate rises."),
    "weight_decay": (FiniteRange(0), "Of AdamW; of kernels alone."),
    "clip_norm": (FiniteRange(0, min_open=True), "The most that all gradients together may be."),
    "averaging": (SHARE, "How much of the weights' average a step keeps."),
    "label_smoothing": (SHARE, "Share of the label that goes to all classes."),
    "mixup": (
        FiniteRange(0),
        "Blend images in pairs, by shares of Beta(mixup, mixup); 0: do not.",
    ),
    "crop_side": (click.IntRange(32, 512), "Of crops of views, in pixels."),
    "crop_share": (FiniteRange(0, 1), "Share of the steps, from the first, that see crops."),
    "balance": (
        click.Choice(("none", "sqrt", "full")),
        "Classes as they are, by the square root of their images, or alike.",
    ),
    "logit_adjustment": (
        FiniteRange(0),
        "How much of the classes' shares the scores leave out; 1: all, 0: nothing.",
    ),
    "val_every": (COUNT, "Steps from one validation to the next."),
    "val_patience": (COUNT, "Validations that are no better before it stops."),
    "final": (bool, "Train on val as well as train, without validation; test is left out."),
    "stop_step": (click.IntRange(0), "With --final: stop after this step; 0: after all."),
    "checkpoint_seconds": (FiniteRange(0), "Time from one checkpoint to the next."),
    "brightness": (SHARE, "Of views: the most that the factor differs from 1."),
    "contrast": (SHARE, "Of views: the most that the factor differs from 1."),
    "saturation": (SHARE, "Of views: the most that the factor differs from 1."),
    "hue_degrees": (FiniteRange(0, 180), "Of views, either way."),
    "cutout": (SHARE, "Side of a blanked square in views, as a share of the image's."),
}
"""Type and help of every field; each help text is shown with the recipe's name."""


def finetune_from(chosen: dict[str, Any]) -> FineTuneOptions:
    """Take the recipe's configuration out of the values of all options."""
    jitter = Jitter(**{field.name: chosen.pop(field.name) for field in fields(Jitter)})
    own = [field.name for field in fields(FineTuneOptions) if field.name != "jitter"]
    return FineTuneOptions(**{name: chosen.pop(name) for name in own}, jitter=jitter)


def refuse_options_of_the_other(context: click.Context) -> None:
    """Refuse options on the command line that the recipe does not use.

    Raises
    ------
    click.UsageError
        Naming the first of them.
    """
    recipe = context.params["recipe"]
    foreign = PUBLISHED_ONLY if recipe == "finetune" else FINETUNE_HELP.keys()
    other = "published" if recipe == "finetune" else "finetune"
    for option in context.command.params:
        given = context.get_parameter_source(option.name or "")
        if option.name in foreign and given is click.core.ParameterSource.COMMANDLINE:
            raise click.UsageError(
                f"{option.opts[0]} is an option of --recipe {other}; the recipe is {recipe}."
            )


Command = TypeVar("Command", bound=Callable[..., Any])


NESTED = ("augmentation", "finetune", "jitter")


class FoldCount(click.IntRange):
    """0 for none, or 2 to 20: one fold leaves nothing to train on."""

    name = "folds"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Refuse 1 as well as what is out of range."""
        count = super().convert(value, param, ctx)
        if count == 1:
            self.fail("1 fold leaves nothing to train on; wanted 0, or 2 to 20.", param, ctx)
        return count


HELP: dict[str, tuple[Any, str]] = {
    "recipe": (
        click.Choice(("finetune", "published")),
        "Tune the base's upper stages with the head, or train a head on frozen features.",
    ),
    "weights": (str, "'imagenet', or a .weights.h5 file of the ResNet50 base."),
    "weights_licence": (str, "Whose the base's weights are, in a line for the model card."),
    "seed": (click.IntRange(0, 2**31 - 3), "Of everything random."),
    "images_per_class": (COUNT, "published: Drawn, or repeated where there are fewer."),
    "views": (click.IntRange(0), "published: Augmented views of every training image."),
    "hidden_units": (COUNT, "Of the head."),
    "dropout": (SHARE, "Of the head."),
    "learning_rate": (click.FloatRange(0, min_open=True), "published: Of Adam."),
    "batch_size": (COUNT, "Images a step."),
    "epochs": (COUNT, "published: At most."),
    "patience": (COUNT, "published: Epochs without a better validation before it stops."),
    "folds": (FoldCount(0, 20), "2 and more: cross-validate by lesion, and write no engine."),
    "device": (click.Choice(("auto", "cpu", "gpu")), "auto: a GPU that is seen, else the CPU."),
    "xla": (bool, "Compile with XLA."),
    "mixed_precision": (
        bool,
        "finetune: multiply in bfloat16, on a CPU that can; published: features in float16, on a "
        "GPU.",
    ),
    "rotation_degrees": (click.FloatRange(0, 180), "Of views, either way."),
    "shift": (SHARE, "Of views, as a share of the side."),
    "zoom": (SHARE, "Of views, as a share of the scale."),
    "horizontal_flip": (bool, "Mirror views left to right."),
    "vertical_flip": (bool, "Mirror views top to bottom."),
    **{name: (kind, f"finetune: {text}") for name, (kind, text) in FINETUNE_HELP.items()},
}
"""Type and help of every field but those that hold fields of their own."""


def recipe_options(command: Command) -> Command:
    """Give a command one option for each field of the recipe, in their order."""
    for field in reversed(_fields()):
        kind, text = HELP[field.name]
        name = "--" + field.name.replace("_", "-")
        declared = f"{name}/--no-{name[2:]}" if kind is bool else name
        add = click.option(declared, type=kind, default=field.default, help=text)
        command = add(command)
    return command


def options_from(chosen: Mapping[str, Any]) -> TrainOptions:
    """Build the configuration from what the options were set to."""
    views = {field.name: chosen[field.name] for field in fields(Augmentation)}
    rest = {name: value for name, value in chosen.items() if name not in views}
    finetune = finetune_from(rest)
    return TrainOptions(**rest, augmentation=Augmentation(**views), finetune=finetune)


def _fields() -> list[Field[Any]]:
    every = (TrainOptions, Augmentation, FineTuneOptions, Jitter)
    return [field for kind in every for field in fields(kind) if field.name not in NESTED]


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
    from hambatch.system.array_cache import default_cache
    from hambatch.training.folds import format_folds
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
