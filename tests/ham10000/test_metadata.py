import pytest

from hambatch.errors import InputError
from hambatch.ham10000.metadata import COLUMNS, find_metadata, read_metadata

HEADER = ",".join(COLUMNS)
ROW = "HAM_1,ISIC_1,nv,histo,40.0,male,back"


def write(tmp_path, *lines, name="HAM10000_metadata.csv", encoding="utf-8"):
    path = tmp_path / name
    path.write_text("\n".join(lines) + "\n", encoding=encoding)
    return path


def test_kaggle_and_dataverse_tables_read_alike(tmp_path):
    comma = read_metadata(write(tmp_path, HEADER, ROW))
    lines = [f"{HEADER},dataset", f"{ROW},vidir_modern"]
    quoted = ["\t".join(f'"{cell}"' for cell in line.split(",")) for line in lines]
    tab = read_metadata(write(tmp_path, *quoted, name="HAM10000_metadata", encoding="utf-8-sig"))
    assert comma.to_csv() == tab.to_csv()


def test_values_stay_as_published_and_an_unknown_age_is_empty(tmp_path):
    path = write(tmp_path, HEADER, ROW, "HAM_2,ISIC_2,nv,histo,,unknown,NA")
    assert list(read_metadata(path)["age"]) == ["40.0", ""]
    assert list(read_metadata(path)["localization"]) == ["back", "NA"]


@pytest.mark.parametrize("name", ["HAM10000_metadata.csv", "HAM10000_metadata"])
def test_either_published_file_name_is_found(tmp_path, name):
    assert find_metadata(write(tmp_path, HEADER, name=name).parent).name == name


def test_a_folder_without_metadata_is_refused_with_the_names_wanted(tmp_path):
    with pytest.raises(InputError, match=r"HAM10000_metadata\.csv.*\nNext: download"):
        find_metadata(tmp_path)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["image_id,dx", "ISIC_1,nv"], "no column lesion_id, dx_type"),
        ([HEADER], "no rows"),
        ([""], "no readable table"),
        ([HEADER, ROW.replace("nv", "scc")], "dx 'scc' in row 1 (image_id 'ISIC_1')"),
        ([HEADER, ROW, ROW], "several rows: ISIC_1 (ISIC_1 in rows 1, 2: ISIC_1, ISIC_1)"),
        ([HEADER, ROW, "HAM_1,ISIC_2,mel,histo,40.0,male,back"], "HAM_1 is mel and nv"),
        ([HEADER, ROW, ",ISIC_2,mel,histo,40.0,male,back"], "lesion_id '' in row 2"),
    ],
)
def test_a_table_that_would_mislead_is_refused(tmp_path, lines, message):
    path = write(tmp_path, *lines)
    with pytest.raises(InputError) as error:
        read_metadata(path)
    assert message in str(error.value)
    assert str(path) in str(error.value)
    assert "\nNext: " in str(error.value)
