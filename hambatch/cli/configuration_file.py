"""A configuration file: TOML whose tables are commands and whose keys are their options.

It is read and checked here, key by key; :mod:`hambatch.cli.settings` makes defaults of it.
"""

import errno
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from hambatch.cli.parameters import Listed, Percent
from hambatch.system.text import excerpt

MOST_BYTES = 1 << 18
"""Longest file."""


def key_of(option: click.Option) -> str:
    """Give the key of an option: its name as it is typed, with ``_`` for ``-``."""
    typed = [name[2:] for name in option.opts if name.startswith("--")]
    return (typed[0] if typed else option.name or "").replace("-", "_")


def options_of(command: click.Command) -> dict[str, click.Option]:
    """Give the options of a command that a variable or a key may set, by key."""
    options = [option for option in command.params if isinstance(option, click.Option)]
    own = ("help", "version", "config") if isinstance(command, click.Group) else ()
    return {key_of(x): x for x in options if key_of(x) not in own}


def commands_of(
    command: click.Command, ctx: click.Context
) -> Iterator[tuple[str, Callable[[], click.Command]]]:
    """List the commands of a group; each is imported when it is called for."""
    if isinstance(command, click.Group):
        for name in command.list_commands(ctx):
            yield name, lambda name=name: command.get_command(ctx, name)  # type: ignore[misc]


def such_as(word: str, known: list[str]) -> str:
    """Name the nearest word, as the end of a message; empty if none is near."""
    from difflib import get_close_matches

    near = get_close_matches(word, known, 1, 0.75)
    return f", such as {near[0]}" if near else ""


def place_of(names: Sequence[str], key: str) -> str:
    """Say where a key stands: ``batch_size in [score]``."""
    table = f" in [{'.'.join(names)}]" if names else ""
    return f"{excerpt(key)}{table}"


def read_file(file: Path) -> dict[str, Any]:
    """Read a TOML file; raises UsageError."""
    import tomllib

    from hambatch.system.files import open_regular

    try:
        with open_regular(file) as stream:
            content = stream.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise OSError(errno.EFBIG, f"it has more than {MOST_BYTES} bytes")
        return tomllib.loads(content.decode("utf-8-sig"))
    except OSError as error:
        raise click.UsageError(
            f"the configuration file {excerpt(str(file))} cannot be read: {error.strerror}.\n"
            "Next: name one with --config or HAMBATCH_CONFIG"
        ) from error
    except (ValueError, RecursionError) as error:
        why = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise click.UsageError(
            f"the configuration file {excerpt(str(file))} is no TOML: {excerpt(why)}.\n"
            "Next: correct it; docs/configuration.md has an example"
        ) from error


def check_table(
    file: str,
    table: Mapping[str, Any],
    command: click.Command,
    ctx: click.Context,
    names: list[str],
) -> None:
    """Refuse keys that are no options, tables that are no commands, and values of another kind."""
    options, commands = options_of(command), dict(commands_of(command, ctx))
    called = " ".join(["hambatch", *names])
    for key, value in table.items():
        place = f"{file}: {place_of(names, key)}"
        if key in commands and isinstance(value, dict):
            check_table(file, value, commands[key](), ctx, [*names, key])
        elif key in commands:
            wanted = ".".join([*names, key])
            raise click.UsageError(f"{place} is {_found(value)}, wanted the table [{wanted}]")
        elif key not in options:
            such = such_as(key, [*options, *commands])
            what = "command" if isinstance(value, dict) else "option"
            raise click.UsageError(
                f"{place} is no {what} of `{called}`{such}.\n"
                f"Next: correct or remove it; `{called} --help` lists them"
            )
        elif wanted := problem_with(value, options[key]):
            raise click.UsageError(
                f"{place} is {_found(value)}, wanted {wanted}.\n"
                f"Next: correct it; `{called} --help` describes {options[key].opts[0]}"
            )


def problem_with(value: Any, option: click.Option) -> str:
    """Say what an option takes instead of a value of the file; empty if it takes that."""
    one, wanted = _kind(option.type)
    texts = value if isinstance(value, list) else [value]
    if any(isinstance(text, str) and "\0" in text for text in texts):
        return "text without NUL, as on the command line"
    if option.is_flag:
        return "" if type(value) is bool else "true or false"
    if option.nargs != 1 or option.multiple:
        count = f"{option.nargs} " if option.nargs != 1 else ""
        fits = isinstance(value, list) and all(map(one, value))
        right = fits and (option.nargs == 1 or len(value) == option.nargs)
        return "" if right else f"a list of {count}values: {wanted} each"
    if isinstance(option.type, Listed):
        fits = all(map(one, value)) if isinstance(value, list) else one(value)
        return "" if fits else f"a list, or one value: {wanted} each"
    return "" if one(value) else wanted


def _kind(kind: click.ParamType[Any]) -> tuple[Callable[[Any], bool], str]:
    """Give the check of one value of a type, and what the type takes in words."""
    if isinstance(kind, Listed):
        return _kind(kind.one)
    if isinstance(kind, click.types.IntParamType):
        return lambda value: type(value) is int, "a whole number"
    if isinstance(kind, Percent):
        return lambda value: type(value) in (int, float) or value == "all", 'a number, or "all"'
    if isinstance(kind, click.types.FloatParamType):
        return lambda value: type(value) in (int, float), "a number"
    return lambda value: type(value) is str, "text in quotes"


def _found(value: Any) -> str:
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, bool):
        return str(value).lower()
    try:
        return f'"{excerpt(value)}"' if isinstance(value, str) else excerpt(str(value))
    except RecursionError:  # tables in it were named by a key of many parts
        return "a list with tables in it"
