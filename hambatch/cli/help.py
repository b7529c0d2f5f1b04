"""How help looks: options in groups, examples of whole commands, plain names for values."""

import inspect
from typing import Any

import click

INPUT, OUTPUT, LIMITS = "Input", "Output", "Limits"
DEVICE, SPEED, CHECKS = "Engine and device", "Speed", "Checks"
OTHER = "Other options"

_PLAIN = {"integer": "N", "integer range": "N", "float": "X", "float range": "X", "text": "TEXT"}


class Option(click.Option):
    """An option that help lists under the heading ``group``."""

    def __init__(self, *declarations: Any, group: str = OTHER, **settings: Any) -> None:
        super().__init__(*declarations, **settings)
        self.group = group

    def make_metavar(self, ctx: click.Context) -> str:
        """Name a number N or X; its range follows in brackets."""
        return self.metavar or _PLAIN.get(self.type.name) or super().make_metavar(ctx)


class Command(click.Command):
    """A command whose help has examples, and its options in groups.

    Parameters
    ----------
    examples
        Lines as they are typed, with ``#`` before what they do; indentation is removed.
    """

    def __init__(self, *arguments: Any, examples: str = "", **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.examples = inspect.cleandoc(examples).splitlines()

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the options, group by group in the order of their declaration."""
        write_examples(self.examples, formatter)
        groups: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record and isinstance(parameter, click.Option):
                groups.setdefault(getattr(parameter, "group", OTHER), []).append(record)
        for heading in sorted(groups, key=OTHER.__eq__):
            with formatter.section(heading):
                formatter.write_dl(groups[heading])


class Group(click.Group):
    """A command of several, such as `hambatch bench`; its members are :class:`Command`."""

    command_class = Command

    def __init__(self, *arguments: Any, examples: str = "", **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self.examples = inspect.cleandoc(examples).splitlines()

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Show examples before the commands."""
        write_examples(self.examples, formatter)
        super().format_options(ctx, formatter)


def write_examples(lines: list[str], formatter: click.HelpFormatter) -> None:
    """Write the section of examples, each line as it is typed."""
    if lines:
        with formatter.section("Examples"):
            formatter.write("".join(f"  {line}\n" if line else "\n" for line in lines))
