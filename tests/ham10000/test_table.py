import json

import pytest

from hambatch.errors import InputError
from hambatch.ham10000.table import COLUMNS, dataset_root, read_split

ROW = {
    "image_id": "ISIC_1",
    "lesion_id": "HAM_1",
    "dx": "nv",
    "dx_type": "histo",
    "age": "",
    "sex": "male",
    "localization": "back",
    "file": "part_1/ISIC_1.jpg",
    "sha256": "0" * 64,
    "split": "train",
}


def write(tmp_path, *rows, columns=COLUMNS):
    path = tmp_path / "split.csv"
    lines = [columns, *([row[column] for column in columns] for row in rows)]
    path.write_text("".join(",".join(line) + "\n" for line in lines))
    return path


def test_a_table_is_read_as_it_was_written(tmp_path):
    assert read_split(write(tmp_path, ROW)).to_dict("records") == [ROW]


@pytest.mark.parametrize(
    "change",
    [
        {"image_id": ""},
        {"lesion_id": ""},
        {"dx": "scc"},
        {"split": "Train"},
        {"sha256": "A" * 64},
        {"sha256": "0" * 63},
        {"file": "/etc/passwd.jpg"},
        {"file": "part_1/../../secret.jpg"},
        {"file": ""},
    ],
)
def test_a_value_that_prepare_would_not_write_is_refused_with_its_line(tmp_path, change):
    (column, value), *_ = change.items()
    path = write(tmp_path, ROW, {**ROW, "image_id": "ISIC_2", **change})
    with pytest.raises(InputError) as error:
        read_split(path)
    assert f"{path}: found {column} {value!r} in row 2" in str(error.value)


def test_an_image_listed_twice_is_refused(tmp_path):
    with pytest.raises(InputError, match="ISIC_1 in rows 1, 2"):
        read_split(write(tmp_path, ROW, ROW))


def test_missing_columns_and_missing_files_are_refused(tmp_path):
    with pytest.raises(InputError, match="no column split"):
        read_split(write(tmp_path, ROW, columns=COLUMNS[:-1]))
    with pytest.raises(InputError, match=r"absent\.csv.*\nNext: hambatch prepare"):
        read_split(tmp_path / "absent.csv")


def test_the_root_comes_from_the_record_beside_the_table(tmp_path):
    (tmp_path / "split.csv.json").write_text(json.dumps({"root": str(tmp_path)}))
    assert dataset_root(tmp_path / "split.csv") == tmp_path


@pytest.mark.parametrize("text", [None, "{", "[]", "{}", '{"root": 3}', '{"root": "/not/there"}'])
def test_a_record_without_a_usable_root_is_refused(tmp_path, text):
    if text is not None:
        (tmp_path / "split.csv.json").write_text(text)
    with pytest.raises(InputError, match=r"split\.csv\.json"):
        dataset_root(tmp_path / "split.csv")
