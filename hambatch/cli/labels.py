"""The options that say what a truth's labels mean, in every command that reads a truth."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from hambatch.cli.parameters import LabelAndClass

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

LABELS = (
    click.option("--id-column", metavar="NAME", help="Column of the truth that names the image."),
    click.option(
        "--label-column", metavar="NAME", help="Column of the truth that holds the label."
    ),
    click.option(
        "--lesion-column", metavar="NAME", help="Column of the truth that names the lesion."
    ),
    click.option(
        "--map",
        metavar="LABEL=CLASS",
        multiple=True,
        type=LabelAndClass(),
        help="Class of a label, in any case of its letters: melanoma=mel.",
    ),
    click.option(
        "--exclude-other-classes",
        is_flag=True,
        help="Leave images out whose label is none of the classes.",
    ),
    click.option("--exclude-unlabelled", is_flag=True, help="Leave images out that have no label."),
)


def of_labels(command: Decorated) -> Decorated:
    """Add the fields of :class:`hambatch.evaluation.options.LabelOptions`."""
    for option in reversed(LABELS):
        command = option(command)
    return command
