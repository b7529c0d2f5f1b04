"""A table that was changed by hand is compared as far as it can be read."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hambatch.checks.verify.table import as_csv
from hambatch.checks.verify.verify import verify
from hambatch.errors import InputError
from tests.checks.verify.tampering import EVERY, HASHES, edit, found, record_anew

Lines = list[dict[str, Any]]


def edit_objects(table: Path, change: Callable[[Lines], object]) -> None:
    objects = [json.loads(line) for line in table.read_text().splitlines()]
    change(objects)
    table.write_text("".join(json.dumps(one) + "\n" for one in objects))
    record_anew(table)


@pytest.mark.parametrize("place", [0, 5, 25])
@pytest.mark.parametrize("column", ["status", "p_nv", "reason"])
def test_a_row_that_lacks_a_column_is_no_row(
    jsonl: Path, images: Path, place: int, column: str
) -> None:
    names: list[str] = []

    def remove(objects: Lines) -> None:
        names.append(objects[place]["image"])
        del objects[place][column]

    edit_objects(jsonl, remove)
    (name,) = names
    assert found(jsonl, images, HASHES) - {(name, "file without a row")} == {(name, "no row")}


def test_a_row_without_an_image_is_no_row(jsonl: Path, images: Path) -> None:
    edit_objects(jsonl, lambda objects: objects[3].pop("image"))
    assert ("", "no row") in found(jsonl, images, HASHES)


NO_NAMES: list[Any] = [None, 5, [], {}, True]
OTHER_NAMES = ["", "%00.jpg", "../../x", "/", "%FF"]


@pytest.mark.parametrize("image", [*NO_NAMES, *OTHER_NAMES])
def test_any_image_of_a_row_is_a_difference(jsonl: Path, images: Path, image: object) -> None:
    edit_objects(jsonl, lambda objects: objects[3].update(image=image))
    assert found(jsonl, images, HASHES)


def test_rows_of_any_image_are_left_out_of_what_is_scored_again(jsonl: Path, images: Path) -> None:
    def spoil(objects: Lines) -> None:
        for one, image in zip(objects[3:], [*NO_NAMES, *OTHER_NAMES], strict=False):
            one.update(image=image)

    edit_objects(jsonl, spoil)
    differences = verify(jsonl, [images], "auto", EVERY).differences
    assert [d.what for d in differences].count("no row") == len([*NO_NAMES, ""])
    assert {"\0.jpg", "../../x", "/", "\udcff"} <= {d.image for d in differences}
    assert not [d for d in differences if "scored again" in d.what]


@pytest.mark.parametrize("line", ["{", "[]", "5", '"\\ud800"', "\udcff"])
@pytest.mark.parametrize("place", [0, 7])
def test_a_line_that_is_no_object_is_no_row(
    jsonl: Path, images: Path, place: int, line: str
) -> None:
    lines = jsonl.read_text().splitlines()
    name = json.loads(lines[place])["image"]
    lines[place] = line
    jsonl.write_text("\n".join(lines), errors="surrogateescape")
    record_anew(jsonl)
    assert found(jsonl, images, HASHES) - {(name, "file without a row")} == {("", "no row")}


@pytest.mark.parametrize("place", [1, 4])
def test_a_malformed_row_of_a_csv_is_no_row(table: Path, images: Path, place: int) -> None:
    def spoil(lines: list[str]) -> None:
        lines[place] = lines[place].replace(",ok,", ",fine,").replace(",failed,", ",bad,")
        lines[place + 1] = "cut.jpg,ok\n"

    edit(table, spoil)
    record_anew(table)
    kinds = sorted(what for _, what in found(table, images, HASHES))
    assert kinds == ["file without a row"] * 2 + ["no row"] * 2


def test_what_a_malformed_row_holds_is_encoded_once(table: Path, images: Path) -> None:
    edit(table, lambda lines: lines.insert(1, "%3D1.jpg,=2" + "," * 18 + "\n"))
    record_anew(table)
    (line,) = as_csv(verify(table, [images], "auto", HASHES).differences).splitlines()[1:]
    assert line.startswith("%3D1.jpg,no row,status '%3D2' in row 1 (image '%3D1.jpg'),")


def test_a_table_without_its_columns_is_none(table: Path, jsonl: Path, images: Path) -> None:
    edit(table, lambda lines: lines.__setitem__(0, lines[0].replace("status", "state")))
    edit_objects(jsonl, lambda objects: [one.pop("status") for one in objects])
    for path in (table, jsonl):
        with pytest.raises(InputError, match="wanted also the columns status"):
            verify(path, [images], "auto", EVERY)
