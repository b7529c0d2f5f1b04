"""What has happened before what, whatever the timing of a run: so races show every time."""

from dataclasses import dataclass, field

Clock = dict[int, int]
"""Stream handle to how many of its operations are known to be done."""


class Fault(AssertionError):
    """A mistake that a GPU would not report: it would compute something."""


def merged(*clocks: Clock) -> Clock:
    """All that any of them knows."""
    return {
        handle: max(clock.get(handle, 0) for clock in clocks) for handle in set().union(*clocks)
    }


def knows(clock: Clock, handle: int, count: int) -> bool:
    return clock.get(handle, 0) >= count


@dataclass
class Region:
    """A piece of memory, and the last operations on it that may still be running."""

    what: str
    pointer: int
    size: int
    memory: object = None
    freed: bool = False
    unread: bool = False
    written: tuple[int, int] | None = None
    reads: Clock = field(default_factory=dict)

    def check(self, clock: Clock, writing: bool) -> None:
        """Fail unless all that must be over before is known to be over."""
        if self.freed:
            raise Fault(f"{self.what} was used after it was freed")
        if self.written and not knows(clock, *self.written):
            verb = "overwritten" if writing else "read"
            raise Fault(f"{self.what} was {verb} before the event behind its last write")
        if writing:
            self.check_unused(clock)

    def check_unused(self, clock: Clock) -> None:
        """Fail if an operation may still read it."""
        if not all(knows(clock, *read) for read in self.reads.items()):
            raise Fault(f"{self.what} was reused before the event behind its last read")

    def note(self, handle: int, count: int, writing: bool) -> None:
        if writing:
            self.written, self.reads = (handle, count), {}
        else:
            self.reads[handle] = count
