"""What became of a run's devices, over all its starts."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class DeviceHistory:
    """Notes of backends by device, the latest of each, and hand-overs in their order.

    Both as in :class:`hambatch.crew.Crew`.
    """

    notes: dict[str, str] = field(default_factory=dict)
    handed_over: list[dict[str, str]] = field(default_factory=list)

    def then(self, later: "DeviceHistory") -> "DeviceHistory":
        """Give both, one after the other; neither is changed."""
        return DeviceHistory({**self.notes, **later.notes}, [*self.handed_over, *later.handed_over])


def history_of(raw: Any) -> DeviceHistory:
    """Read a history back from JSON; versions that did not keep one had none to tell of.

    Raises
    ------
    ValueError
        If it is none.
    """
    if not isinstance(raw, dict):
        raise ValueError(f"its devices are {raw!r}, wanted notes and handed_over")
    notes, handed_over = raw.get("notes", {}), raw.get("handed_over", [])
    if not _are_texts(notes):
        raise ValueError(f"its notes of devices are {notes!r}, wanted text by device")
    if not isinstance(handed_over, list) or not all(map(_are_texts, handed_over)):
        raise ValueError(f"its handed_over is {handed_over!r}, wanted a list of from, to and why")
    return DeviceHistory(notes, handed_over)


def _are_texts(raw: Any) -> bool:
    return isinstance(raw, dict) and all(isinstance(value, str) for value in raw.values())
