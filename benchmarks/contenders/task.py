"""What every contender is given: the same files, the same engine, the same cores."""

import sys
from dataclasses import dataclass, replace
from pathlib import Path

Setting = dict[str, int | str]

SIDE = 224


@dataclass(frozen=True)
class Task:
    """Pictures below ``root``; ``engine`` is a folder; ``scratch`` is there to be written to.

    ``python`` runs whole `hambatch` processes: that of another installation, where one is compared.
    """

    root: Path
    names: tuple[str, ...]
    engine: Path
    precision: str
    cores: int
    scratch: Path
    python: str = sys.executable

    @property
    def files(self) -> list[str]:
        """Whole paths."""
        return [str(self.root / name) for name in self.names]

    def first(self, count: int) -> "Task":
        """The same with fewer pictures."""
        return replace(self, names=self.names[:count])
