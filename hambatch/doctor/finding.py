"""What is known of one part of a machine: a package, an engine, a driver, a device."""

from dataclasses import asdict, dataclass
from typing import Any

USABLE, MISSING, BROKEN = "usable", "missing", "broken"
STATES = (USABLE, MISSING, BROKEN)


@dataclass(frozen=True)
class Finding:
    """A part and its state.

    Attributes
    ----------
    part
        What it is called here, on every machine: a module, ``engine``, ``driver``, ``gpu 0``.
    name
        What it is called by others: a distribution, an engine, a card.
    state
        One of :data:`STATES`.
    needed_for
        What does not work without it.
    version
        Empty if unknown.
    about
        What else is known of it.
    why
        Why it cannot be used, in a line; empty if it can.
    next
        What to type then.
    """

    part: str
    name: str
    state: str
    needed_for: str
    version: str = ""
    about: str = ""
    why: str = ""
    next: str = ""

    @property
    def usable(self) -> bool:
        """Whether it is there and works."""
        return self.state == USABLE

    def to_json(self) -> dict[str, Any]:
        """Give every field."""
        return asdict(self)
