"""What is wrong with a table, before it is known who reads it and what to type next."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from hambatch.errors import InputError
from hambatch.labels import ISIC_COLUMNS


class MalformedTable(Exception):
    """A file, or a row, that is none of hambatch's: what was found in it, and what was wanted.

    ``image`` is what the row has in that column, encoded; empty if that is nothing.
    """

    def __init__(self, found: str, wanted: str, image: object = "") -> None:
        super().__init__(f"found {found}; wanted {wanted}")
        self.found, self.wanted = found, wanted
        self.image = image if isinstance(image, str) else ""


def check_columns(found: Sequence[str], wanted: Sequence[str]) -> None:
    """Refuse a table that lacks a wanted column or has one twice; others may be there.

    Raises
    ------
    MalformedTable
        Naming the columns, or that it is a submission.
    """
    missing = [name for name in wanted if name not in found]
    if missing and {"image", *ISIC_COLUMNS} <= set(found):
        raise submission()
    if missing:
        raise MalformedTable(
            f"columns {', '.join(found)}", f"also the columns {', '.join(missing)}"
        )
    twice = sorted({name for name in found if found.count(name) > 1})
    if twice:
        raise MalformedTable(f"several columns {', '.join(twice)}", "every column once")


def submission() -> MalformedTable:
    """Say why a submission to ISIC 2018 Task 3, which holds too little for rows, is no table."""
    return MalformedTable(
        "an ISIC submission, which can be neither verified nor retried: "
        "it has neither folders, status nor sha256",
        "a table written by hambatch score --format csv, jsonl or parquet",
    )


@contextmanager
def refusing_malformed(path: Path, next_step: str) -> Iterator[None]:
    """Turn a malformed or unreadable file into the error that names it and what to type.

    Raises
    ------
    InputError
        Instead of MalformedTable and OSError.
    """
    try:
        yield
    except MalformedTable as error:
        raise InputError(f"{path}: {error}.\nNext: {next_step}") from error
    except OSError as error:
        raise InputError(
            f"{path}: found no readable table ({error.strerror or error}); wanted a file.\n"
            f"Next: {next_step}"
        ) from error
