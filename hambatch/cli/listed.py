"""Several values of one option, separated by commas."""

from collections.abc import Sequence
from typing import Any

import click


class Listed(click.ParamType[tuple[Any, ...]]):
    """``1,2,4``: each part is of one type; repeated ones count once."""

    name = "list"

    def __init__(self, one: click.ParamType[Any]) -> None:
        self._one = one

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        """Show that there may be more than one."""
        inner = self._one.get_metavar(param, ctx) or self._one.name.partition(" ")[0].upper()
        return f"{inner}[,...]"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[Any, ...]:
        """Split, and let the one type refuse what it does not know."""
        parts: Sequence[Any] = value.split(",") if isinstance(value, str) else value
        if any(isinstance(part, str) and not part.strip() for part in parts):
            self.fail(f"{value!r} has an empty part.", param, ctx)
        stripped = (part.strip() if isinstance(part, str) else part for part in parts)
        return tuple(dict.fromkeys(self._one.convert(part, param, ctx) for part in stripped))
