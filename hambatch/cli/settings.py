"""Options from ``HAMBATCH_...`` variables and from a configuration file.

The command line has precedence over a variable, that over the file, and that over the default.
Click's own mechanisms take the values: each option gets its variable, and the file's tables become
the ``default_map``. What stands here checks that every variable and key is an option, and that a
key has a value of the right kind; then values are checked as those of the command line.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path

import click
from click.core import ParameterSource

from hambatch.cli.configuration_file import (
    check_table,
    commands_of,
    key_of,
    options_of,
    place_of,
    read_file,
    such_as,
)
from hambatch.cli.messages import Messages
from hambatch.errors import HambatchError
from hambatch.system.text import excerpt

PREFIX = "HAMBATCH_"

OF_TESTS = "HAMBATCH_FAULT_"
"""Variables that begin so say how long the tests of faults take; commands leave them alone."""

OF_HAMBATCH = ("--config", "--log-format", "--quiet")
"""Options of hambatch itself, which may stand after the command, too."""

FLAGS = ("--quiet",)
"""Those without a value."""

FILE, PROBLEM, WORDS = (f"hambatch.settings.{name}" for name in ("file", "problem", "words"))
"""Keys of click's ``Context.meta``."""


def put_first(words: Sequence[str]) -> list[str]:
    """Move the options of hambatch itself before the command."""
    first, rest, left = list[str](), list[str](), iter(words)
    for word in left:
        name, equals, _ = word.partition("=")
        if word == "--":
            return [*first, *rest, word, *left]
        if name not in OF_HAMBATCH:
            rest.append(word)
        elif equals or name in FLAGS:
            first.append(word)
        elif (value := next(left, None)) is not None:
            first.append(f"{word}={value}")
        else:
            return [*first, word]  # click says that it lacks its value
    return first + rest


def log_format_of(words: Sequence[str]) -> str:
    """Find the format of messages before the command line is read: it may be wrong."""
    option, before = "--log-format=", takewhile(lambda word: word != "--", put_first(words))
    asked = [word.removeprefix(option) for word in before if word.startswith(option)]
    return (asked or [os.environ.get(f"{PREFIX}LOG_FORMAT", "")])[-1]


def take_settings(ctx: click.Context, _: click.Parameter, file: Path | None) -> None:
    """Check the variables and the file, and make the file's values defaults of all commands.

    Raises UsageError. A wrong setting does not prevent help: there :func:`refuse_settings` raises
    it, if a command is run all the same.
    """
    words = ctx.meta.get(WORDS, ())
    try:
        _refuse_unknown_variables(ctx)
        ctx.meta[FILE] = excerpt(str(file))
        document = read_file(file) if file else {}
        if document.get("log_format") == "json" and not log_format_of(words):
            ctx.ensure_object(Messages).choose("json")  # the rest of the file may be wrong
        check_table(ctx.meta[FILE], document, ctx.command, ctx, [])
    except click.UsageError as problem:
        if {"-h", "--help"}.isdisjoint(words):
            raise
        ctx.meta[PROBLEM] = problem
    else:
        ctx.default_map = document


def refuse_settings(ctx: click.Context) -> None:
    """Raise what :func:`take_settings` found."""
    if problem := ctx.meta.get(PROBLEM):
        raise problem


def settle_options(ctx: click.Context) -> None:
    """Give each option of a command its variable, and its value in the file."""
    if ctx.parent is None:
        return
    given = ctx.default_map or {}
    prefix = PREFIX + "".join(f"{name.upper()}_" for name in _names(ctx))
    by_key = options_of(ctx.command)
    for key, option in by_key.items():
        option.envvar = prefix + key.upper()
    ctx.default_map = {by_key[key].name or "": value for key, value in given.items()}


def forget_variables() -> None:
    """Keep the variables from commands that this one starts."""
    for name in _variables():
        del os.environ[name]


@contextmanager
def naming_origins(ctx: click.Context) -> Iterator[None]:
    """Say of a wrong value which variable or key it came from."""
    try:
        yield
    except click.BadParameter as error:
        if error.param and (origin := _origin(ctx, error.param)):
            error.param_hint = f"'{error.param.opts[0]}' ({origin})"
        raise


@contextmanager
def naming_settings(ctx: click.Context) -> Iterator[None]:
    """Say of options that a message names which variables or keys set them."""
    try:
        yield
    except click.UsageError as error:
        text = error.format_message()
        if not (origins := _origins(ctx, text)):
            raise
        raise click.UsageError("\n".join([text, *origins]), error.ctx or ctx) from error
    except HambatchError as error:
        for line in _origins(ctx, str(error)):
            error.add_note(line)
        raise


def _origins(ctx: click.Context, text: str) -> list[str]:
    said = {word.strip(".,;:()'`") for word in text.split()}
    options = [option for option in ctx.command.params if not said.isdisjoint(option.opts)]
    found = [(option.opts[0], _origin(ctx, option)) for option in options]
    return [f"{name} is set by {origin}" for name, origin in found if origin]


def _origin(ctx: click.Context, option: click.Parameter) -> str:
    source = ctx.get_parameter_source(option.name or "")
    if source is ParameterSource.ENVIRONMENT:
        return str(option.envvar)
    if source is ParameterSource.DEFAULT_MAP and isinstance(option, click.Option):
        return f"{ctx.meta[FILE]}: {place_of(_names(ctx), key_of(option))}"
    return ""


def _names(ctx: click.Context) -> list[str]:
    """Name the command of a context and those above it, without hambatch itself."""
    return [*_names(ctx.parent), ctx.info_name or ""] if ctx.parent else []


def _variables() -> list[str]:
    ours = [name for name in os.environ if name.startswith(PREFIX)]
    return [name for name in ours if not name.startswith(OF_TESTS)]


def _refuse_unknown_variables(ctx: click.Context) -> None:
    for name in _variables():
        known = [*_known_variables(name, ctx.command, ctx, PREFIX), f"{PREFIX}CONFIG"]
        if name not in known:
            raise click.UsageError(
                f"{excerpt(name)} in the environment stands for no option, wanted "
                f"{PREFIX}COMMAND_OPTION{such_as(name, known)}.\nNext: unset {excerpt(name)}"
            )


def _known_variables(
    name: str, command: click.Command, ctx: click.Context, prefix: str
) -> list[str]:
    """List the variables of the command that a name begins with."""
    for sub, of_sub in commands_of(command, ctx):
        if name.startswith(longer := f"{prefix}{sub.upper()}_"):
            return _known_variables(name, of_sub(), ctx, longer)
    return [prefix + key.upper() for key in options_of(command)]
