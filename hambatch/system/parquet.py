"""Parquet that is read, through pyarrow: one row group in memory, within bounds."""

from collections.abc import Callable, Iterator, Sequence
from itertools import compress
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO

from hambatch.system.malformed import MalformedTable
from hambatch.system.packages import require

MOST_IN_A_GROUP = 2**30
"""Bytes of a row group without compression: a run's has 3 MB, those of other programs more."""

MOST_TEXT = 2**28
"""Bytes of text in :data:`ROWS_A_GROUP` rows: a run's have 3 MB. A file of 6 kB may repeat a cell
of 300 kB in every row."""

ROWS_A_GROUP = 16_384
"""Of a row group, written and read at once: 10 MB of values in memory."""


def column_names(path: Path) -> list[str]:
    """Give the names of the columns, in their order; raises MalformedTable if it is no Parquet."""
    arrow = pyarrow()
    with path.open("rb") as stream:
        try:
            names: list[str] = arrow.parquet.read_schema(stream).names
        except (arrow.ArrowException, UnicodeDecodeError) as error:
            raise MalformedTable(f"no Parquet ({error})", "an undamaged file") from error
    return names


def read_records(
    path: Path, check: Callable[[Sequence[str]], None]
) -> Iterator[dict[str, Any] | MalformedTable]:
    """Yield one record a row, with one row group in memory; damage ends them and is the last.

    ``check`` is called with the names of the columns, and raises MalformedTable to refuse them.
    """
    arrow = pyarrow()
    with path.open("rb") as stream:
        try:
            # Buffering ahead, pyarrow's default, keeps the bytes of the whole file.
            file = arrow.parquet.ParquetFile(
                stream, pre_buffer=False, read_dictionary=_texts(arrow, stream)
            )
            names = file.schema_arrow.names
        except (arrow.ArrowException, UnicodeDecodeError) as error:
            raise MalformedTable(f"no Parquet ({error})", "an undamaged file") from error
        check(names)
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
    return [column.name for column in schema if column.type in _text_types(arrow)]


def _text_types(arrow: ModuleType) -> set[Any]:
    texts = {arrow.string(), arrow.large_string(), arrow.string_view()}
    return texts | {arrow.binary(), arrow.large_binary(), arrow.binary_view()}


def _refuse_large_groups(file: Any) -> None:
    """Raise MalformedTable if the cells of a row group take far more memory than a run's do."""
    for number in range(file.num_row_groups):
        size = file.metadata.row_group(number).total_byte_size
        if size > MOST_IN_A_GROUP:
            raise MalformedTable(
                f"a row group of {size:,} bytes", f"at most {MOST_IN_A_GROUP:,} bytes"
            )


def _values(arrow: ModuleType, batch: Any) -> list[dict[str, Any]]:
    """Give the rows of a batch; raises MalformedTable before cells are repeated too often."""
    compute, size = arrow.compute, 0
    texts = _text_types(arrow)
    repeated = [
        isinstance(column, arrow.DictionaryArray) and column.type.value_type in texts
        for column in batch.columns
    ]
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
    rows: list[dict[str, Any]] = arrow.RecordBatch.from_arrays(
        columns, batch.schema.names
    ).to_pylist()
    return rows


def pyarrow() -> ModuleType:
    """Import pyarrow with the parts that Parquet needs; raises MissingDependency."""
    for part in ("pyarrow.compute", "pyarrow.parquet"):
        require(part, extra="parquet", purpose="a Parquet table")
    return require("pyarrow", extra="parquet", purpose="a Parquet table")
