"""A device, checked while the command line is read."""

from typing import Any

import click

from hambatch.errors import InputError


class Device(click.types.StringParamType):
    """What :func:`hambatch.placement.numbers_in` reads."""

    name = "device"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Refuse anything else as wrong usage; the text stays as it is."""
        from hambatch.placement import numbers_in

        try:
            numbers_in(value)
        except InputError as error:
            self.fail(str(error), param, ctx)
        return value
