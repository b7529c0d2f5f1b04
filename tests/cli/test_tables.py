"""Tables as other programs write them: every command reads the same ones, or names the cause."""

import json
import os
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest
from click.testing import CliRunner

from hambatch.cli import hambatch
from hambatch.errors import ExitCode, InputError
from tests.conftest import jpeg_bytes, png_bytes
from tests.waiting import HANGS_S

CLASSES = ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")
ACCENTED = "\u00e9t\u00e9 1"
IDS = ("007", "NA", "null", ACCENTED, "a;b", "c,d", "x")

HEADER = ("image_id", "lesion_id", "dx", "age", "sex")
ROWS = [
    (name, lesion, ("nv", "mel")[k % 2], age, sex)
    for k, (name, lesion, age, sex) in enumerate(
        zip(
            IDS,
            ("L0", "L1", "", "", "", "L5", "L6"),
            ("45.0", "", "70", "30", "", "61.5", "80"),
            ("male", "female", "", "male", "", "female", "male"),
            strict=True,
        )
    )
]

LONG = f'"{"a, b " * 30_000}"'

PREDICTION_HEADER = ("image", "status", "prediction", *(f"p_{name}" for name in CLASSES))
PREDICTIONS = [
    (f"p/{name}.jpg", "ok", "nv", *("0.125" if c != "nv" else "0.25" for c in CLASSES))
    for name in IDS
]


def text_of(header, rows, delimiter=",", quote_all=False, end="\n"):
    def cell(value):
        special = quote_all or any(c in value for c in f'{delimiter}"')
        return f'"{value}"' if special else value

    return "".join(delimiter.join(map(cell, row)) + end for row in (header, *rows))


def excel(text):
    """Empty rows, and two columns and a row of nothing but semicolons."""
    header, first, *rest = text.splitlines()
    lines = [f"{header};;", f"{first};;", ";;;;;;", "", *rest, ";;;;;;", ";;;;;;"]
    return "\r\n".join(lines) + "\r\n"


def with_missing(word):
    return [[word if cell == "" else cell for cell in row] for row in ROWS]


PLAIN = text_of(HEADER, ROWS)
SEMICOLONS = text_of(HEADER, ROWS, ";")

TRUTHS = {
    "semicolons": SEMICOLONS.encode(),
    "Dataverse's .tab": text_of(HEADER, ROWS, "\t", quote_all=True).encode(),
    "Excel's CSV UTF-8": ("\ufeff" + excel(SEMICOLONS)).encode(),
    "Excel's Unicode text": text_of(HEADER, ROWS, "\t", end="\r\n").encode("utf-16"),
    "Excel's first line": ("sep=;\n" + SEMICOLONS).encode(),
    "names in another form": unicodedata.normalize("NFD", PLAIN).encode(),
    "rows longer than the header": (SEMICOLONS + "y;L9;nv;45.0;male;;\n").encode(),
    "other names of columns": PLAIN.replace("image_id", " Image ID ").replace("dx", "DX").encode(),
    "decimal commas": SEMICOLONS.replace("45.0", "45,0").replace("61.5", "61,5").encode(),
    "a long name of a column": PLAIN.replace("\n", f",{LONG}\n", 1).encode(),
    "a long cell": (PLAIN.replace("\n", ",note\n", 1) + f"y,L9,nv,45.0,male,{LONG},\n").encode(),
    "a column of pandas' index": text_of(
        ("", *HEADER), [(str(k), *row) for k, row in enumerate(ROWS)]
    ).encode(),
    **{
        f"{word} for a missing value": text_of(HEADER, with_missing(word)).encode()
        for word in ("nan", "NaN", "NA", "null", "None", "Unknown")
    },
}


def evaluate(folder, predictions, truth, *options):
    (folder / "truth.csv").write_bytes(truth)
    (folder / "preds.csv").write_bytes(predictions)
    arguments = [folder / "preds.csv", "--truth", folder / "truth.csv", *options]
    return CliRunner().invoke(hambatch, ["evaluate", *map(str, arguments)])


def report(folder, predictions, truth):
    result = evaluate(folder, predictions, truth, "--json")
    assert result.exit_code == ExitCode.OK, result.exception
    found = json.loads(result.stdout)
    return {key: found[key] for key in ("accuracy", "brier", "subgroups", "confusion_matrix")}


P = text_of(PREDICTION_HEADER, PREDICTIONS).encode()


@pytest.fixture(scope="module")
def wanted(tmp_path_factory):
    return report(tmp_path_factory.mktemp("plain"), P, PLAIN.encode())


@pytest.mark.parametrize("kind", TRUTHS)
def test_a_truth_reads_alike_however_it_was_saved(kind, tmp_path, wanted):
    assert report(tmp_path, P, TRUTHS[kind]) == wanted


def test_predictions_that_excel_saved_read_alike(tmp_path, wanted):
    text = text_of(PREDICTION_HEADER, PREDICTIONS, ";").replace("0.", "0,")
    saved = "\n".join(line + ";" for line in text.splitlines()) + "\n;;;\n"
    assert report(tmp_path, ("\ufeff" + saved).encode(), PLAIN.encode()) == wanted


@pytest.mark.parametrize(
    ("truth", "words"),
    [
        (b"image_id,dx,dx\na,nv,mel\n", ["2 columns dx", "column 2", "column 3"]),
        (b"image_id,DX,Dx\na,nv,mel\n", ["2 columns dx", "'DX'", "'Dx'"]),
        ("image_id,dx\na,nv\nété,nv\n".encode("cp1252"), ["byte 0xe9", "line 3", "CSV UTF-8"]),
        (b"PK\x03\x04" + bytes(90), ["an Excel workbook"]),
        ("image_id,dx\na,nv\n".encode("utf-32"), ["UTF-32;", "UTF-16"]),
        (b"image_id,dx\n" + b"a,nv\n" * 300 + b"b\0c,nv\n", ["byte 0x00", "line 302"]),
        (b"image_id;dx\n\n", ["no rows"]),
        (b"image_id;dx\na;nv\nb;nv;x\n", ["row 2", "3 cells"]),
        (b"image_id;dx\n\na;nv\n;;\nb;scc\n", ["'scc' in row 4"]),
        (b'image_id,dx\na,nv\n"b,nv\n', ["row 2", "quotes"]),
    ],
)
def test_a_table_that_cannot_be_read_is_refused_with_the_cause(truth, words, tmp_path):
    result = evaluate(tmp_path, P, truth)
    assert isinstance(result.exception, InputError), result.exception
    for word in ("truth.csv: found", "wanted", "Next: ", *words):
        assert word in str(result.exception)


def test_a_table_that_is_not_there_is_named_once(tmp_path):
    (tmp_path / "preds.csv").write_bytes(P)
    words = ["evaluate", str(tmp_path / "preds.csv"), "--truth", str(tmp_path / "gone.csv")]
    found = str(CliRunner().invoke(hambatch, words).exception)
    assert "found no readable table (No such file or directory); wanted" in found
    assert found.count("gone.csv") == 1


def test_a_pipe_is_refused_before_it_is_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "preds.csv").write_bytes(P)
    arguments = ["evaluate", tmp_path / "preds.csv", "--truth", tmp_path / "pipe"]
    # In a process of its own: reading the pipe would never end.
    command = [sys.executable, "-m", "hambatch", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=HANGS_S)
    assert "found no readable table: a pipe" in done.stderr


def download(root, metadata, name="HAM10000_metadata.csv"):
    """Eight images of eight lesions, in the formats and under the suffixes that `score` takes."""
    root.mkdir()
    (root / name).write_bytes(metadata)
    for k, suffix in enumerate((".jpg", ".jpeg", ".png", ".JPG", ".JPEG", ".PNG", "", ".dat")):
        content = png_bytes(k) if "png" in suffix.lower() else jpeg_bytes(k)
        (root / f"ISIC_{k}{suffix}").write_bytes(content)
    return root


METADATA = ("lesion_id", "image_id", "dx", "dx_type", "age", "sex", "localization")
LESIONS = [
    (f"HAM_{k}", f"ISIC_{k}", "nv", "histo", ("45.0", "nan", "NaN", "")[k % 4], "male", "back")
    for k in range(8)
]


def prepare(root, out):
    return CliRunner().invoke(hambatch, ["prepare", str(root), "--out", str(out)])


def test_prepare_takes_every_image_that_score_takes_and_no_text_as_an_age(tmp_path):
    root = download(tmp_path / "ham", text_of(METADATA, LESIONS, "\t", quote_all=True).encode())
    (root / "ISIC_0.txt").write_text("a note")
    (root / "ISIC_1.gif").write_bytes(b"GIF89a" + bytes(20))
    result = prepare(root, tmp_path / "split.csv")
    assert result.exit_code == ExitCode.OK, result.exception
    rows = [line.split(",") for line in (tmp_path / "split.csv").read_text().splitlines()[1:]]
    assert [row[0] for row in rows] == [f"ISIC_{k}" for k in range(8)]
    assert [row[4] for row in rows] == ["45.0", "", "", ""] * 2
    assert "files that are no images, left out: 1 (ISIC_0.txt)" in result.stdout
    assert "in the format gif, which is not read, left out: 1 (ISIC_1.gif)" in result.stdout


def test_prepare_writes_the_same_split_from_every_kind_of_metadata(tmp_path):
    text = text_of(METADATA, LESIONS, ";")
    kinds = {
        "plain": text_of(METADATA, LESIONS).encode(),
        "excel": ("\ufeff" + text.replace("\n", ";;\n") + ";;;;;;;;\n").encode(),
        "utf-16": text_of(METADATA, LESIONS, "\t").encode("utf-16"),
    }
    splits = []
    for kind, metadata in kinds.items():
        out = tmp_path / f"{kind}.csv"
        result = prepare(download(tmp_path / kind, metadata, "HAM10000_metadata.tab"), out)
        assert result.exit_code == ExitCode.OK, result.exception
        splits.append(out.read_bytes())
    assert len(set(splits)) == 1


def test_prepare_takes_the_image_of_two_files_and_refuses_two_images(tmp_path):
    root = download(tmp_path / "ham", text_of(METADATA, LESIONS).encode())
    (root / "ISIC_0.png").write_bytes(b"cut off while it was copied")
    assert prepare(root, tmp_path / "split.csv").exit_code == ExitCode.OK
    assert "ISIC_0.jpg" in Path(tmp_path / "split.csv").read_text()
    (root / "ISIC_0.png").write_bytes(png_bytes(50))
    result = prepare(root, tmp_path / "again.csv")
    assert isinstance(result.exception, InputError)
    assert "ISIC_0 has 2 files with different bytes" in str(result.exception)


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_what_a_table_calls_its_columns_reaches_no_terminal(tmp_path: Path, suffix: str) -> None:
    import pyarrow.parquet

    name, table = "\x1b[2J\x07 image", tmp_path / f"preds.{suffix}"
    if suffix == "parquet":
        pyarrow.parquet.write_table(pyarrow.table({name: ["a.jpg"]}), table)
    else:
        table.write_text(f"{name}\na.jpg\n" if suffix == "csv" else json.dumps({name: "a.jpg"}))
    labels = tmp_path / "labels.csv"
    labels.write_text("image_id,dx\na,nv\n")
    result = CliRunner().invoke(hambatch, ["evaluate", str(table), "--truth", str(labels)])
    said = f"{result.output}{result.exception}"
    assert isinstance(result.exception, InputError), said
    assert "\x1b" not in said
    assert "\x07" not in said
    assert "%1B[2J%07 image" in said or "\\x1b" in said


def test_a_small_parquet_file_with_huge_cells_does_not_fill_the_memory(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet

    def repeated(text):
        return pa.DictionaryArray.from_arrays(pa.array([0] * 16_000, pa.int8()), pa.array([text]))

    table, labels = tmp_path / "preds.parquet", tmp_path / "labels.csv"
    columns = dict(zip(PREDICTION_HEADER, PREDICTIONS[0], strict=True)) | {"image": "a" * 300_000}
    cells = {name: repeated(text) for name, text in columns.items()}
    pyarrow.parquet.write_table(pa.table(cells), table)
    assert table.stat().st_size < 20_000
    labels.write_text("image_id,dx\na,nv\n")
    result = CliRunner().invoke(hambatch, ["evaluate", str(table), "--truth", str(labels)])
    assert isinstance(result.exception, InputError), result.exception
    found = "found 16000 rows with 4,800,608,000 bytes of text after row 0; wanted at most "
    assert found in str(result.exception)


def test_a_split_table_in_utf_16_names_no_file_with_a_byte_of_zero(
    tiny_engine: Path, tmp_path: Path
) -> None:
    header = "image_id,lesion_id,dx,dx_type,age,sex,localization,file,sha256,split"
    row = f"i,L,nv,histo,40,male,back,a\0b.jpg,{'0' * 64},train"
    split = tmp_path / "split.csv"
    split.write_bytes(f"{header}\n{row}\n".encode("utf-16"))
    command = ["engines", "complete", str(tiny_engine), "--data", str(split)]
    refused = CliRunner().invoke(hambatch, command).exception
    assert isinstance(refused, InputError), refused
    assert r"file 'a\x00b.jpg' in row 1" in str(refused)
    assert "wanted a path below the dataset's folder" in str(refused)
