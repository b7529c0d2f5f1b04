"""Defaults of `hambatch explain`: option name = field name."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ExplainOptions:
    """`hambatch explain`.

    ``engine`` None means the one that the table's record names, or the default engine;
    ``of_class`` None: of each image the class that is predicted. Of a table, the ``top`` rows
    of the highest probability are taken, among those predicted ``label`` if it is given.
    """

    engine: str | None = None
    of_class: str | None = None
    label: str | None = None
    top: int = 16
