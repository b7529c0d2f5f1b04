"""The truth is read from columns of any name, and what cannot be used is refused by name."""

import re
from zipfile import ZipFile

import pandas as pd
import pytest

from hambatch.engines.classes import CLASSES, ISIC_COLUMNS
from hambatch.errors import InputError
from hambatch.evaluation.options import LabelOptions
from hambatch.evaluation.truth import read_truth

ISIC = ",".join(["image", *ISIC_COLUMNS])


def test_one_hot_truth_is_read_in_the_order_of_its_own_columns(table):
    rows = [f"i{k},{','.join('1.0' if j == k else '0.0' for j in range(7))}" for k in range(7)]
    truth = read_truth(table(ISIC, *rows)).rows
    assert list(truth["dx"]) == [name.lower() for name in ISIC_COLUMNS]
    assert list(truth.columns) == ["image_id", "dx"]


def test_a_truth_may_be_parquet_or_json_lines_too(tmp_path):
    truth = pd.DataFrame({"image_id": ["a", "b"], "dx": ["nv", "mel"], "age": [40, None]})
    one_hot = pd.DataFrame({"image": ["a"], **{name: [int(name == "NV")] for name in ISIC_COLUMNS}})
    for frame in (truth, one_hot):
        frame.to_parquet(tmp_path / "t.parquet")
        frame.to_json(tmp_path / "t.jsonl", orient="records", lines=True)
        for name in ("t.parquet", "t.jsonl"):
            assert list(read_truth(tmp_path / name).rows["dx"]) == list(truth["dx"])[: len(frame)]


def test_split_keeps_its_own_rows_and_lesions(table):
    path = table("image_id,lesion_id,dx,split", "a,L1,nv,train", "b,L2,mel,test", "c,L2,mel,test")
    truth = read_truth(path, "test").rows
    assert truth.to_dict("list") == {
        "image_id": ["b", "c"],
        "dx": ["mel", "mel"],
        "lesion_id": ["L2", "L2"],
    }


def test_what_the_metadata_say_of_a_patient_is_kept(table):
    path = table("image_id,dx,age,sex,other", "a,nv,45.0, male ,x")
    assert list(read_truth(path).rows.columns) == ["image_id", "dx", "age", "sex"]
    assert list(read_truth(path).rows.iloc[0]) == ["a", "nv", "45.0", "male"]


def test_a_byte_order_mark_is_no_part_of_the_header(table):
    assert len(read_truth(table("\ufeffimage_id,dx", "a,nv")).rows) == 1


@pytest.mark.parametrize(
    ("lines", "named"),
    [
        (["image_id,dx", "a,nv", "b,scc"], ["row 2", "'b'", "'scc'", *CLASSES]),
        (["image_id,dx", "a,nv", "b,nv", "a,mel"], ["several rows: a"]),
        (["image_id,dx", ",nv"], ["row 1", "a name in every row"]),
        (["image_id,dx"], ["no rows"]),
        (["image_id,diagnosis", "a,nv"], ["image_id, diagnosis", "dx"]),
        (["image_id,dx", "a,nv,extra"], ["more cells than the header"]),
        ([ISIC, "a,1,1,0,0,0,0,0"], ["'a'", "a 1 in one of"]),
        ([ISIC, "a,0,0,0,0,0,0,0"], ["'a'", "a 1 in one of"]),
        ([ISIC, "a,1,x,0,0,0,0,0"], ["'a'", "a 1 in one of"]),
    ],
)
def test_a_truth_that_cannot_be_used_is_refused_by_name(table, lines, named):
    path = table(*lines)
    with pytest.raises(InputError) as refused:
        read_truth(path)
    for words in (str(path), "wanted", "Next: ", *named):
        assert words in str(refused.value)


@pytest.mark.parametrize(
    ("split", "named"), [("val", "splits test, train"), ("Test", "rows of --split Test")]
)
def test_a_split_that_is_not_there_is_refused(table, split, named):
    with pytest.raises(InputError, match=named):
        read_truth(table("image_id,dx,split", "a,nv,train", "b,nv,test"), split)


def test_a_split_of_a_table_without_splits_is_refused(table):
    with pytest.raises(InputError, match="a column split"):
        read_truth(table("image_id,dx", "a,nv"), "test")


def test_formulas_that_no_program_has_computed_are_refused(tmp_path):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for row in (["image_id", "dx"], ["a", "nv"], ["b", '=IF(A1="","",LOWER("NV"))']):
        book.active.append(row)
    path = tmp_path / "t.xlsx"
    book.save(path)
    said = "a formula in cell B3 that no program has computed.*open the workbook .* and save it"
    with pytest.raises(InputError, match=said):
        read_truth(path)
    # As Excel saves it; of an empty text the type is "str".
    for value, computed in (("nv", 2), ("", 1)):
        with ZipFile(path) as book, ZipFile(tmp_path / "computed.xlsx", "w") as copy:
            for name in book.namelist():
                content = book.read(name)
                if name.endswith("sheet1.xml"):
                    cell = re.sub(rb"<v ?/>|<v></v>", b"<v>%s</v>" % value.encode(), content)
                    content = cell.replace(b'r="B3"', b'r="B3" t="str"')
                copy.writestr(name, content)
        truth = read_truth(
            tmp_path / "computed.xlsx", options=LabelOptions(exclude_unlabelled=True)
        )
        assert len(truth.rows) == computed


def test_a_workbook_of_another_suffix_is_told_about_xlsx(tmp_path):
    with ZipFile(tmp_path / "t.csv", "w") as book:
        book.writestr("xl/workbook.xml", "")
    with pytest.raises(InputError, match=r"an Excel workbook whose name does not end in \.xlsx"):
        read_truth(tmp_path / "t.csv")
