"""What a table says and what was found: one line a difference."""

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass

from hambatch.names import encode_name


@dataclass(frozen=True)
class Difference:
    """One thing that is not as the table says.

    ``image`` is empty for what concerns the whole table. All is as it is, not
    encoded: a name has surrogate escapes for bytes that are no text.
    """

    image: str
    what: str
    in_table: str = ""
    found: str = ""


def as_csv(differences: Iterable[Difference]) -> str:
    """Write differences as CSV with a header; every cell encoded once, as in the table."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("image", "difference", "in_table", "found"))
    writer.writerows(map(encode_name, (d.image, d.what, d.in_table, d.found)) for d in differences)
    return text.getvalue()
