"""The table as Parquet, through pyarrow: text and float64, null for nothing."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from hambatch.sinks.columns import (
    NUMBERS,
    MalformedTable,
    Record,
    carried_names,
    check_columns,
    header_of,
    record_of,
)
from hambatch.system import parquet
from hambatch.system.files import closed_at_the_end
from hambatch.system.parquet import ROWS_A_GROUP
from hambatch.types import Row


@contextmanager
def open_table(
    path: Path, carried: Sequence[str] = (), *, checked: bool = True
) -> Iterator[Callable[[Row], None]]:
    """Write rows, a full row group at a time.

    Raises OSError when the file system refuses, MissingDependency without pyarrow.
    """
    arrow = parquet.pyarrow()
    names = carried_names(carried)
    schema = _schema(arrow, header_of(names, checked=checked))
    waiting: list[Record] = []
    # A stream of Python's own: its errors say in `strerror` what happened, pyarrow's do not.
    with closed_at_the_end(path.open("wb")) as stream:
        writer = arrow.parquet.ParquetWriter(stream, schema, compression="snappy")

        def write_group() -> None:
            writer.write_batch(arrow.RecordBatch.from_pylist(waiting, schema=schema))
            waiting.clear()

        def write(row: Row) -> None:
            waiting.append(record_of(row, names, checked=checked))
            if len(waiting) == ROWS_A_GROUP:
                write_group()

        try:
            yield write
            if waiting:
                write_group()
            writer.close()
        finally:
            # Its destructor would close it once more, when the stream is gone.
            writer.is_open = False


def _schema(arrow: ModuleType, columns: Sequence[str]) -> Any:
    def field(name: str) -> Any:
        kind = arrow.float64() if name in NUMBERS else arrow.string()
        return arrow.field(name, kind, nullable=name not in ("image", "status"))

    return arrow.schema(map(field, columns))


def read_records(path: Path, wanted: Sequence[str]) -> Iterator[Record | MalformedTable]:
    """Yield one record a row, with one row group in memory; damage ends them and is the last."""
    return parquet.read_records(path, lambda found: check_columns(found, wanted))
