"""The recipe's options, made from the fields of its configuration."""

from collections.abc import Callable, Mapping
from dataclasses import Field, fields
from typing import Any, TypeVar

import click

from hambatch.cli.finetune_options import FINETUNE_HELP, finetune_from
from hambatch.config import Augmentation, TrainOptions
from hambatch.training.finetuning.options import FineTuneOptions, Jitter

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


SHARE = click.FloatRange(0, 1, max_open=True)
COUNT = click.IntRange(1)

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
