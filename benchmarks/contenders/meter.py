"""What a run takes: seconds, and joules where the processor counts them.

Linux shows the counters of Intel's and AMD's processors (RAPL) as powercap zones; those of whole
packages are added up. What else a machine draws is not in them.
"""

import time
from pathlib import Path
from typing import NamedTuple

POWERCAP = Path("/sys/class/powercap")


class Spent(NamedTuple):
    """``joules``: None where nothing counts them."""

    seconds: float
    joules: float | None = None

    def less(self, other: "Spent") -> "Spent":
        """Give what this took more."""
        seconds = self.seconds - other.seconds
        if self.joules is None or other.joules is None:
            return Spent(seconds)
        return Spent(seconds, self.joules - other.joules)


class Run(NamedTuple):
    """What one run measured; ``took`` is the precision that a program says it took."""

    images: int
    spent: Spent
    took: str = ""

    @property
    def images_per_s(self) -> float:
        """The rate."""
        return self.images / self.spent.seconds

    @property
    def images_per_joule(self) -> float | None:
        """None where no energy was counted."""
        return self.images / self.spent.joules if self.spent.joules else None


class Counter(NamedTuple):
    """One package's counter of microjoules, which begins again at ``end``."""

    file: Path
    end: int

    def read(self) -> int:
        """Read it."""
        return int(self.file.read_text())


class Meter:
    """Starts when it is made."""

    def __init__(self, powercap: Path = POWERCAP) -> None:
        self._counters = counters(powercap)
        self._before = [counter.read() for counter in self._counters]
        self._started = time.perf_counter()

    def spent(self) -> Spent:
        """Give what was spent since the start; a counter may have begun again once."""
        seconds = time.perf_counter() - self._started
        if not self._counters:
            return Spent(seconds)
        both = zip(self._counters, self._before, strict=True)
        return Spent(seconds, sum((c.read() - before) % c.end for c, before in both) / 1e6)


def counters(powercap: Path = POWERCAP) -> list[Counter]:
    """Find the counters of all packages; none if there are none that this user may read."""
    found = []
    for zone in sorted(powercap.glob("intel-rapl:*")):
        try:
            if (zone / "name").read_text().startswith("package"):
                end = int((zone / "max_energy_range_uj").read_text())
                found.append(Counter(zone / "energy_uj", end))
                found[-1].read()
        except OSError:
            return []
    return found


def energy_counted(powercap: Path = POWERCAP) -> str:
    """Say, for the result, what of the machine's energy is counted."""
    if found := counters(powercap):
        return f"counted by RAPL, processor packages: {len(found)}"
    return f"not counted: no processor package below {powercap} that this user may read"
