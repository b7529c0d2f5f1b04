"""Tables that cannot be read: what was found in them, and what was wanted."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hambatch.errors import InputError
from hambatch.system.files import open_regular
from hambatch.system.text import excerpt

LONGEST_PATH = 3 * 4096
"""Characters of a path, of which every byte is encoded."""


class MalformedTable(Exception):
    """A file, or a row, that cannot be used: what was found in it, and what was wanted.

    ``image`` is what the row has in that column, encoded; empty if it has nothing there.
    """

    def __init__(self, found: str, wanted: str, image: object = "") -> None:
        super().__init__(f"found {found}; wanted {wanted}")
        self.found, self.wanted = found, wanted
        self.image = excerpt(image, LONGEST_PATH) if isinstance(image, str) else ""


@contextmanager
def refusing_malformed(path: Path, next_step: str) -> Iterator[None]:
    """Raise MalformedTable and OSError as an InputError that names the file and what to type."""
    try:
        # A pipe would make every reader wait, a device never end.
        with open_regular(path):
            pass
        yield
    except MalformedTable as error:
        raise InputError(f"{path}: {error}.\nNext: {next_step}") from error
    except OSError as error:
        raise InputError(
            f"{path}: found no readable table ({error.strerror or error}); wanted a file.\n"
            f"Next: {next_step}"
        ) from error
