"""A clinic's own labels give the figures of the clean table, and no image is left out unsaid."""

import json

import numpy as np
import pandas as pd
import pytest

from hambatch.engines.classes import CLASSES, ISIC_COLUMNS
from hambatch.errors import InputError
from hambatch.evaluation.evaluate import compare
from hambatch.evaluation.options import LabelOptions, LeakOptions, label_and_class
from hambatch.evaluation.report import format_report
from hambatch.evaluation.report_files import page
from hambatch.evaluation.truth import read_truth
from tests.evaluation.tables import digest, split_table

NAMES = {"akiec": "Morbus Bowen", "bcc": "Basalzellkarzinom", "bkl": "seborrhoische Keratose"}
NAMES |= {"df": "df", "mel": "Melanoma", "nv": "Nävus, melanozytär", "vasc": "VASC"}
"""What the clinic calls each class."""

MAP = (
    ("morbus bowen", "akiec"),
    ("basalzellkarzinom", "bcc"),
    ("Seborrhoische Keratose", "bkl"),
    ("melanoma", "mel"),
    ("Na\u0308vus, melanozyta\u0308r", "nv"),
    ("Spitz-Nävus", "nv"),
)

CLINIC = LabelOptions(
    id_column="Datei",
    label_column="Diagnose",
    map=MAP,
    exclude_other_classes=True,
    exclude_unlabelled=True,
)

ISIC_2019 = "image,MEL,NV,BCC,AK,BKL,DF,VASC,SCC,UNK"

N, LEFT = 35, 7
"""Images of the seven classes, and images of none."""


def options(**changed):
    return LabelOptions(**{**vars(CLINIC), **changed})


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Two tables of predictions, a split table, and one truth as clean table and as a clinic's."""
    folder = tmp_path_factory.mktemp("clinic")
    rng = np.random.default_rng(0)
    classes = [CLASSES[k % 7] for k in range(N)]
    for name in ("a.csv", "b.csv"):
        p = rng.dirichlet(np.ones(7), N + LEFT).round(6)
        rows = pd.DataFrame(p, columns=[f"p_{name}" for name in CLASSES])
        rows["image"] = [f"part_1/i{k}.JPG" for k in range(N + LEFT)]
        rows["status"], rows["sha256"] = "ok", [digest(100 + k) for k in range(N + LEFT)]
        rows["prediction"] = np.array(CLASSES)[p.argmax(axis=1)]
        rows.to_csv(folder / name, index=False)
    split_table(folder / "split.csv")
    clean = [f"i{k},{classes[k]},L{k // 2}" for k in range(N)]
    (folder / "clean.csv").write_text("\n".join(["image_id,dx,lesion_id", *clean]) + "\n")
    (folder / "alone.csv").write_text(
        "\n".join(["image_id,dx", *(row.rpartition(",")[0] for row in clean)]) + "\n"
    )
    (folder / "clinic.csv").write_text(clinic(classes), encoding="utf-8-sig")
    return folder


def clinic(classes):
    """Semicolons, cells in quotes, two cases, spaces, paths of Windows, and rows of no class."""
    rows = ["Läsion;Diagnose;Datei"]
    for k, name in enumerate(classes):
        label = "Spitz-Nävus" if k == 12 else NAMES[name]
        label = f'"{label.upper()} "' if k % 4 == 3 else label
        image = f"C:\\bilder\\part_1\\i{k}.JPG" if k % 2 else f"i{k}.JPG"
        rows.append(f"L{k // 2};{label};{image}")
    for k in range(N, N + LEFT):
        rows.append(f"L{k};{['scc', 'SCC', 'scc', 'unklar', '', ' ', ''][k - N]};part_1/i{k}.jpg")
    return "\r\n".join(rows) + "\r\n"


def figures(report, *, of_clinic):
    """The report without what names the truth, and without the counts of what is left out."""
    report = json.loads(json.dumps(report))
    del report["truth"]
    if of_clinic:
        assert report["counts"].pop("other_classes") == {"scc": 3, "unklar": 1}
        assert report["counts"].pop("unlabelled") == 3
    return report


@pytest.mark.parametrize("lesions", [True, False])
def test_a_clinics_table_gives_the_report_of_the_clean_one(place, lesions):
    """With images that were trained on left out, and paired with a second table."""
    settings = {
        "against": place / "b.csv",
        "leaks": LeakOptions(data=place / "split.csv", exclude_trained=True),
    }
    clean = compare(place / "a.csv", place / ("clean.csv" if lesions else "alone.csv"), **settings)
    labels = options(lesion_column="Läsion" if lesions else None)
    report = compare(place / "a.csv", place / "clinic.csv", labels=labels, **settings)
    assert (clean["n"], clean["leak_check"]["excluded"], clean["against"]["n"]) == (31, 4, 31)
    assert clean["intervals"]["grouped_by"] == ("lesion" if lesions else "image")
    assert figures(report, of_clinic=True) == figures(clean, of_clinic=False)
    assert report["truth"]["label_column"] == "Diagnose"
    assert report["truth"]["lesion_column"] == ("Läsion" if lesions else None)
    assert report["truth"]["map"]["Spitz-Nävus"] == {"class": "nv", "images": 1}
    assert report["truth"]["map"]["Melanoma"] == {"class": "mel", "images": 5}


def test_the_summary_and_the_page_say_what_was_left_out_and_what_was_mapped(place):
    report = compare(place / "a.csv", place / "clinic.csv", labels=CLINIC)
    plots = dict.fromkeys(("confusion.png", "roc.png", "reliability.png"), b"")
    plots |= dict.fromkeys(("precision_recall.png", "thresholds.png", "decision.png"), b"")
    for text in (format_report(report), page(report, plots)):
        assert "4 images of other classes left out: scc (3), unklar (1)" in text
        assert "3 images without a label left out" in text
        assert "mel from Melanoma (5); nv from Nävus, melanozytär (4), Spitz-Nävus (1)" in text


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        (
            {"exclude_other_classes": False},
            ["scc (3), unklar (1)", "row 36", "--map scc=CLASS", "--exclude-other-classes"],
        ),
        ({"exclude_unlabelled": False}, ["3 images without", "row 40", "add --exclude-unlabelled"]),
        ({"map": MAP[1:], "exclude_other_classes": False}, ["--map 'Morbus Bowen=CLASS'"]),
        ({"map": (*MAP, ("Melanom", "mel"))}, ["no label 'Melanom'", "Melanoma (5)", "correct"]),
        ({"map": (*MAP, ("MELANOMA", "nv"))}, ["--map MELANOMA=nv", "is mel by another --map"]),
        ({"map": (*MAP, ("df", "nv"))}, ["--map df=nv", "'df' is a class"]),
        ({"label_column": "Befund"}, ["no column Befund", "columns are Läsion, Diagnose, Datei"]),
        ({"lesion_column": "Patient"}, ["no column Patient", "correct the table, or name its"]),
        ({"id_column": "Diagnose"}, ["one column Diagnose for ids and labels"]),
        ({"id_column": None}, ["no column image_id", "--id-column NAME"]),
    ],
)
def test_labels_that_cannot_be_used_are_refused_by_name(place, changed, named):
    with pytest.raises(InputError) as refused:
        read_truth(place / "clinic.csv", options=options(**changed))
    for words in (str(place / "clinic.csv"), "wanted", "Next: ", *named):
        assert words in str(refused.value)


def test_a_column_is_found_in_whichever_form_unicode_writes_its_name(table):
    path = table("Bild,La\u0308sion,Diagnose", "a,1,mel")
    named = LabelOptions(id_column="Bild", label_column="Diagnose", lesion_column="L\u00e4sion")
    assert list(read_truth(path, options=named).rows["lesion_id"]) == ["1"]


def test_class_names_need_no_map_and_may_be_in_capitals(table):
    truth = read_truth(table("image_id,dx", "a,MEL", "b, Nv ", "c,nv"))
    assert (list(truth.rows["dx"]), truth.map) == (["mel", "nv", "nv"], {})


def test_only_the_rows_of_the_split_are_counted_and_refused(table):
    path = table("image_id,dx,split", "a,mole,test", "b,mole,train", "c,scc,train")
    truth = read_truth(path, "test", LabelOptions(map=(("mole", "nv"),)))
    assert (truth.map, truth.left_out) == ({"mole": {"class": "nv", "images": 1}}, {})
    with pytest.raises(InputError, match=r"none of the classes: mole \(1\), scc \(1\)"):
        read_truth(path, "train")


def test_a_table_of_other_classes_alone_is_refused(table):
    only = LabelOptions(exclude_other_classes=True)
    with pytest.raises(InputError, match=r"no image of the seven classes, .* scc \(2\)"):
        read_truth(table("image_id,dx", "a,scc", "b,scc"), options=only)


def test_an_image_that_may_be_one_of_another_class_is_not_measured(table, place):
    """`i1` is either image; without the row of the other class it would be the melanoma."""
    path = table("image_id,dx", "i0,nv", "i1.jpg,mel", "i1.JPG,scc", "other/i2.jpg,scc", "i2,nv")
    report = compare(place / "a.csv", path, labels=LabelOptions(exclude_other_classes=True))
    assert (report["n"], report["counts"]["missing_named"]) == (2, ["i1.jpg"])


def test_the_classes_of_isic_2019_are_read(table):
    rows = [f"i{k},{','.join('1.0' if j == k else '0.0' for j in range(9))}" for k in range(9)]
    path = table(ISIC_2019, *rows, "i9,,,,,,,,,")
    excluded = {"exclude_other_classes": True, "exclude_unlabelled": True}
    truth = read_truth(path, options=LabelOptions(**excluded))
    assert list(truth.rows["dx"]) == [name.lower() for name in ISIC_COLUMNS]
    assert truth.map == {"AK": {"class": "akiec", "images": 1}}
    assert truth.left_out == {"other_classes": {"SCC": 1, "UNK": 1}, "unlabelled": 1}
    assert list(truth.other_ids) == ["i7", "i8", "i9"]
    with pytest.raises(InputError, match=r"SCC \(1\), UNK \(1\) and 1 image without a label"):
        read_truth(path)
    mapped = read_truth(path, options=LabelOptions(map=(("scc", "akiec"),), **excluded))
    assert list(mapped.rows["dx"])[-1] == "akiec"
    with pytest.raises(InputError, match="leave --id-column and --label-column away"):
        read_truth(path, options=LabelOptions(id_column="image", **excluded))


def test_the_table_of_isic_2020_is_read(table):
    columns = "image_name,patient_id,lesion_id,sex,diagnosis,benign_malignant,target"
    path = table(
        columns,
        "ISIC_1,IP_1,IL_1,male,melanoma,malignant,1",
        "ISIC_2,IP_1,IL_2,male,nevus,benign,0",
        "ISIC_3,IP_2,IL_3,,seborrheic keratosis,benign,0",
        "ISIC_4,IP_3,IL_4,female,unknown,benign,0",
    )
    pairs = tuple(
        label_and_class(text) for text in ("melanoma=mel", "nevus=NV", "seborrheic keratosis=bkl")
    )
    named = {"id_column": "image_name", "label_column": "diagnosis", "map": pairs}
    truth = read_truth(path, options=LabelOptions(**named, exclude_other_classes=True))
    assert truth.rows.to_dict("list") == {
        "image_id": ["ISIC_1", "ISIC_2", "ISIC_3"],
        "dx": ["mel", "nv", "bkl"],
        "lesion_id": ["IL_1", "IL_2", "IL_3"],
        "sex": ["male", "male", ""],
    }
    assert truth.left_out == {"other_classes": {"unknown": 1}}
    assert truth.columns["lesion_column"] == "lesion_id"


@pytest.mark.parametrize("text", ["mel=melanoma", "melanoma", "=mel", "a=mel,b=nevus", " =nv"])
def test_a_map_to_no_class_is_refused(text):
    with pytest.raises(
        InputError, match=r"is not LABEL=CLASS with a class of akiec bcc(.|\n)*Next:"
    ):
        label_and_class(text)


def test_a_label_may_hold_an_equals_sign_and_a_comma():
    assert label_and_class("T=1a, melanoma = MEL ") == ("T=1a, melanoma", "mel")
