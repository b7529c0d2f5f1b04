"""What is found is shown as safely as a table."""

import csv
import os

from hambatch.checks.verify.table import Difference, as_csv

WILD = ("=1+1", "a\nb", os.fsdecode(b"caf\xe9"), "-2", "x;@y", "\u2028", "50%41")


def test_no_cell_is_a_formula_or_no_text() -> None:
    text = as_csv(Difference(wild, "changed", wild, wild) for wild in WILD)
    text.encode("utf-8", "strict")
    lines = text.splitlines()
    assert len(lines) == len(WILD) + 1
    for cells in csv.reader(lines):
        assert not [cell for cell in cells if cell.startswith(("=", "-", "@"))]


def test_every_cell_is_encoded_once() -> None:
    text = as_csv([Difference("=a%20.jpg", "changed", "=b", os.fsdecode(b"\xe9"))])
    assert text.splitlines()[1] == "%3Da%2520.jpg,changed,%3Db,%E9"
