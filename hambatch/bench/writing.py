"""Writing alone: rows into a table."""

from dataclasses import dataclass
from pathlib import Path

from hambatch.batches import Row
from hambatch.bench.child import Loaded
from hambatch.bench.turns import timed
from hambatch.tables import open_table

ROWS_AT_LEAST = 10_000
"""A turn of fewer would be over before a clock could tell."""

ROW = Row(
    "",
    "ok",
    prediction="nv",
    probabilities=(0.101553, 0.024335, 0.130704, 0.038715, 0.118192, 0.586189, 0.000312),
    malignant=0.24408,
    decoder="dali-cpu",
    backend="openvino-fp32",
    sha256="ea3fbb5e" * 8,
)


@dataclass(frozen=True)
class Writing:
    """Write a CSV of at least ``count`` rows, and replace it in the next turn."""

    table: Path
    count: int

    def load(self) -> Loaded:
        """Nothing to load."""

        def work() -> int:
            rows = max(self.count, ROWS_AT_LEAST)
            with open_table(self.table, "csv") as write:
                for _ in range(rows):
                    write(ROW)
            return rows

        return Loaded("csv", lambda: timed(work))
