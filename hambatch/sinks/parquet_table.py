"""The table as Parquet, through pyarrow: text and float64, null for nothing."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from hambatch.sinks.columns import (
    COLUMNS,
    NUMBERS,
    MalformedTable,
    Record,
    check_columns,
    record_of,
)
from hambatch.system.files import closed_at_the_end
from hambatch.system.packages import require
from hambatch.types import Row

ROWS_A_GROUP = 16_384
"""Of a row group, written and read at once: 10 MB of values in memory."""


@contextmanager
def open_table(path: Path) -> Iterator[Callable[[Row], None]]:
    """Write rows, a full row group at a time.

    Raises OSError when the file system refuses, MissingDependency without pyarrow.
    """
    arrow = _arrow()
    schema = _schema(arrow)
    waiting: list[Record] = []
    # A stream of Python's own: its errors say in `strerror` what happened, pyarrow's do not.
    with closed_at_the_end(path.open("wb")) as stream:
        writer = arrow.parquet.ParquetWriter(stream, schema, compression="snappy")

        def write_group() -> None:
            writer.write_batch(arrow.RecordBatch.from_pylist(waiting, schema=schema))
            waiting.clear()

        def write(row: Row) -> None:
            waiting.append(record_of(row))
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


def _schema(arrow: ModuleType) -> Any:
    def field(name: str) -> Any:
        kind = arrow.float64() if name in NUMBERS else arrow.string()
        return arrow.field(name, kind, nullable=name not in ("image", "status"))

    return arrow.schema(map(field, COLUMNS))


def read_records(path: Path, wanted: Sequence[str]) -> Iterator[Record | MalformedTable]:
    """Yield one record a row, with one row group in memory; damage ends them and is the last."""
    arrow = _arrow()
    with path.open("rb") as stream:
        try:
            # Buffering ahead, pyarrow's default, keeps the bytes of the whole file.
            file = arrow.parquet.ParquetFile(stream, pre_buffer=False)
            names = file.schema_arrow.names
        except (arrow.ArrowException, UnicodeDecodeError) as error:
            raise MalformedTable(f"no Parquet ({error})", "an undamaged file") from error
        check_columns(names, wanted)
        read = 0
        try:
            for batch in file.iter_batches(ROWS_A_GROUP):
                yield from batch.to_pylist()
                read += batch.num_rows
        except (arrow.ArrowException, ValueError, OverflowError) as error:
            yield MalformedTable(f"no Parquet ({error}) after row {read}", "an undamaged file")


def _arrow() -> ModuleType:
    require("pyarrow.parquet", extra="parquet", purpose="a Parquet table")
    return require("pyarrow", extra="parquet", purpose="a Parquet table")
