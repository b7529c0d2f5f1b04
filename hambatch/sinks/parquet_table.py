"""The table as Parquet, through pyarrow: text and float64, null for nothing."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import compress
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO

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

MOST_IN_A_GROUP = 2**30
"""Bytes of a row group without compression: a run's has 3 MB, those of other programs more."""

MOST_TEXT = 2**28
"""Bytes of text in :data:`ROWS_A_GROUP` rows: a run's have 3 MB. A file of 6 kB may repeat a cell
of 300 kB in every row."""

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
            file = arrow.parquet.ParquetFile(
                stream, pre_buffer=False, read_dictionary=_texts(arrow, stream)
            )
            names = file.schema_arrow.names
        except (arrow.ArrowException, UnicodeDecodeError) as error:
            raise MalformedTable(f"no Parquet ({error})", "an undamaged file") from error
        check_columns(names, wanted)
        read = 0
        try:
            _refuse_large_groups(file)
            for batch in file.iter_batches(ROWS_A_GROUP):
                yield from _values(arrow, batch)
                read += batch.num_rows
        except MalformedTable as error:
            yield MalformedTable(f"{error.found} after row {read}", error.wanted)
        except (arrow.ArrowException, ValueError, OverflowError) as error:
            yield MalformedTable(f"no Parquet ({error}) after row {read}", "an undamaged file")


def _texts(arrow: ModuleType, stream: BinaryIO) -> list[str]:
    """Name the columns of text, to be read without repeating a cell that stands there often."""
    schema = arrow.parquet.read_schema(stream)
    stream.seek(0)
    texts = {arrow.string(), arrow.large_string(), arrow.string_view()}
    texts |= {arrow.binary(), arrow.large_binary(), arrow.binary_view()}
    return [column.name for column in schema if column.type in texts]


def _refuse_large_groups(file: Any) -> None:
    """Raise MalformedTable if the cells of a row group take far more memory than a run's do."""
    for number in range(file.num_row_groups):
        size = file.metadata.row_group(number).total_byte_size
        if size > MOST_IN_A_GROUP:
            raise MalformedTable(
                f"a row group of {size:,} bytes", f"at most {MOST_IN_A_GROUP:,} bytes"
            )


def _values(arrow: ModuleType, batch: Any) -> list[Record]:
    """Give the rows of a batch; raises MalformedTable before cells are repeated too often."""
    compute, size = arrow.compute, 0
    repeated = [isinstance(column, arrow.DictionaryArray) for column in batch.columns]
    for column in compress(batch.columns, repeated):
        lengths = compute.cast(compute.binary_length(column.dictionary), arrow.int64())
        size += compute.sum(lengths.take(column.indices)).as_py() or 0
    if size > MOST_TEXT:
        found = f"{batch.num_rows} rows with {size:,} bytes of text"
        raise MalformedTable(found, f"at most {MOST_TEXT:,} bytes")
    columns = [
        column.dictionary_decode() if is_repeated else column
        for column, is_repeated in zip(batch.columns, repeated, strict=True)
    ]
    rows: list[Record] = arrow.RecordBatch.from_arrays(columns, batch.schema.names).to_pylist()
    return rows


def _arrow() -> ModuleType:
    for part in ("pyarrow.compute", "pyarrow.parquet"):
        require(part, extra="parquet", purpose="a Parquet table")
    return require("pyarrow", extra="parquet", purpose="a Parquet table")
