"""Parameter types: values are checked while the command line is read."""

import math
import os
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from hambatch.errors import InputError
from hambatch.system.text import excerpt

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


class Device(click.types.StringParamType):
    """What :func:`hambatch.scoring.device_names.numbers_in` reads."""

    name = "device"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Refuse anything else as wrong usage; the text stays as it is."""
        from hambatch.scoring.device_names import numbers_in

        try:
            numbers_in(value)
        except InputError as error:
            self.fail(str(error), param, ctx)
        return value


class _Output(click.Path):
    """A path to write; what :mod:`hambatch.system.output_names` refuses is wrong usage."""

    def __init__(self, check: Callable[[Path, str, str], None], *, file_okay: bool = True) -> None:
        super().__init__(path_type=Path, file_okay=file_okay)
        self._check = check

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Refuse a name of something else, with the words of the check."""
        option = param.opts[0] if param and param.opts[0].startswith("-") else ""
        try:
            path = Path(super().convert(value, param, ctx))  # type: ignore[arg-type]
            self._check(path, str(value), option)
        except InputError as error:
            self.fail(str(error).removeprefix(f"{option} "), param, ctx)
        return path


class OutputFile(_Output):
    """A file to write: one of the suffixes, or none; without suffixes the command checks them.

    ``or_stdout``: ``-`` is standard output, not a name that is refused.
    """

    def __init__(
        self, suffixes: Sequence[str] = (), what: str = "", *, or_stdout: bool = False
    ) -> None:
        super().__init__(self._check_file)
        self._suffixes, self._what, self._or_stdout = suffixes, what, or_stdout

    def _check_file(self, path: Path, typed: str, option: str) -> None:
        from hambatch.system.output_names import (
            STANDARD_OUTPUT,
            check_file_name,
            refuse_long_name,
            refuse_standard_output,
        )

        if self._or_stdout and typed == STANDARD_OUTPUT:
            return
        if typed.endswith(os.sep):
            raise InputError(
                f"{typed} is the name of a folder, wanted a file.\nNext: {option} {typed}NAME"
            )
        if self._suffixes:
            check_file_name(path, self._suffixes, self._what, option)
        else:
            refuse_standard_output(path, option)
        refuse_long_name(path, option)


class OutputFolder(_Output):
    """A folder to write into."""

    def __init__(self, *, file_okay: bool = True) -> None:
        super().__init__(self._check_folder, file_okay=file_okay)

    def _check_folder(self, path: Path, typed: str, option: str) -> None:
        from hambatch.system.output_names import check_folder_name

        check_folder_name(path, option)


class SourcePath(click.Path):
    """A word that names a source; an empty one, as of an unset variable, is refused."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Refuse an empty word."""
        from hambatch.sources.source import path_of_word

        path_of_word(value)
        return super().convert(value, param, ctx)


class ExistingFolder(click.Path):
    """A folder that is there; the message says how to make one that is not."""

    def __init__(self) -> None:
        super().__init__(exists=True, file_okay=False, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Refuse what is not there, or no folder."""
        if not os.path.lexists(value):
            make = shlex.join(["mkdir", "-p", os.fspath(value)])
            self.fail(f"{value} does not exist, wanted a folder.\nNext: {make}", param, ctx)
        return super().convert(value, param, ctx)


class FiniteRange(click.FloatRange):
    """A :class:`click.FloatRange` that refuses ``nan`` and ``inf``."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parse, and refuse what is no finite number."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


class Percent(FiniteRange):
    """0 to 100, or ``all`` for 100."""

    def __init__(self) -> None:
        super().__init__(0, 100)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read ``all`` as 100."""
        try:
            return super().convert(100.0 if value == "all" else value, param, ctx)
        except click.BadParameter:
            self.fail(f"{excerpt(str(value))!r} is no number from 0 to 100, nor all.", param, ctx)


class Listed(click.ParamType[tuple[Any, ...]]):
    """``1,2,4``: each part is of one type; repeated ones count once."""

    name = "list"

    def __init__(self, one: click.ParamType[Any]) -> None:
        self.one = one

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """Show that there may be more than one."""
        inner = self.one.get_metavar(param, ctx) or self.one.name.partition(" ")[0].upper()
        return f"{inner}[,...]"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[Any, ...]:
        """Split, and let the one type refuse what it does not know."""
        parts: Sequence[Any] = value.split(",") if isinstance(value, str) else value
        if any(isinstance(part, str) and not part.strip() for part in parts):
            self.fail(f"{value!r} has an empty part.", param, ctx)
        stripped = (part.strip() if isinstance(part, str) else part for part in parts)
        return tuple(dict.fromkeys(self.one.convert(part, param, ctx) for part in stripped))


class LabelAndClass(click.ParamType[tuple[str, str]]):
    """What :func:`hambatch.evaluation.options.label_and_class` reads."""

    name = "label"
    envvar_list_splitter = ";"  # labels hold spaces and commas

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Split the text; a class that does not exist is wrong usage."""
        from hambatch.evaluation.options import label_and_class

        try:
            return label_and_class(value)
        except InputError as error:
            return self.fail(str(error), param, ctx)


def option_of(defaults: object) -> Callable[..., Callable[[Decorated], Decorated]]:
    """Make options whose default is the field of the same name of ``defaults``."""

    def option(
        declaration: str, text: str, kind: Any = None, **settings: Any
    ) -> Callable[[Decorated], Decorated]:
        name = declaration.partition("/")[0].removeprefix("--").replace("-", "_")
        default = getattr(defaults, name)
        if isinstance(default, bool) and "/" not in declaration:
            settings["is_flag"] = True
        return click.option(declaration, default=default, type=kind, help=text, **settings)

    return option
