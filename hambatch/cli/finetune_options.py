"""The options of fine-tuning in `hambatch train`, made from the fields of its configuration."""

from dataclasses import fields
from typing import Any

import click

from hambatch.cli.finite import FiniteRange
from hambatch.training.finetuning.options import PUBLISHED_ONLY, FineTuneOptions, Jitter

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
