"""Structured reports, read back as a receiver reads them: with pydicom, and with highdicom."""

import csv
import io
import warnings
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pydicom
import pytest
from highdicom.sr import ComprehensiveSR
from pydicom.sr.codedict import codes

from hambatch.engines.classes import CLASSES, PROBABILITIES
from hambatch.errors import InputError
from hambatch.sinks.dicom_report import RESEARCH, SNOMED, ScoredWith, code_of
from hambatch.sinks.dicom_sr_table import REPORTS, ROWS, Reporting, open_table
from hambatch.sinks.formats import read_rows
from hambatch.types import Row
from tests.sinks.made_rows import write_rows

IDS = {
    "patient_id": "P-7",
    "patient_name": "Müller^Zoë",
    "patient_birth_date": "19620228",
    "patient_sex": "F",
    "study_date": "20260630",
    "study_time": "081500.25",
    "study_id": "S1",
    "accession_number": "A-99",
    "referring_physician_name": "Who^Doctor",
    "study_instance_uid": "1.2.826.0.1.3680043.8.498.1",
    "series_instance_uid": "1.2.826.0.1.3680043.8.498.1.2",
    "sop_class_uid": "1.2.840.10008.5.1.4.1.1.77.1.4",
    "sop_instance_uid": "1.2.826.0.1.3680043.8.498.1.2.3",
}

KEYWORDS = {
    "patient_id": "PatientID",
    "patient_name": "PatientName",
    "patient_birth_date": "PatientBirthDate",
    "patient_sex": "PatientSex",
    "study_date": "StudyDate",
    "study_time": "StudyTime",
    "study_id": "StudyID",
    "accession_number": "AccessionNumber",
    "referring_physician_name": "ReferringPhysicianName",
    "study_instance_uid": "StudyInstanceUID",
}
"""What a report has in common with its image."""

P = (0.000001, 0.1, 0.05, 0.0, 0.449999, 0.4, 0.0)

BEGAN = datetime(2026, 7, 1, 22, 30, 5, tzinfo=UTC)

ENGINE = ScoredWith("made-up", "1.2", "a1" * 32, "b2" * 32)


def scored(image: str, **cells: str | None) -> Row:
    carried = tuple({**IDS, **cells}.values())
    found = ("dali-cpu", "openvino-fp32", "ab" * 32)
    return Row(image, "ok", "mel", P, 0.55, *found, carried=carried)


def not_dicom(image: str) -> Row:
    return replace(scored(image), carried=(None,) * len(IDS))


def failed(image: str) -> Row:
    return Row(image, "failed", reason="empty file", carried=tuple(IDS.values()))


def write(
    path: Path,
    rows: Sequence[Row],
    frames: Iterable[int] = (),
    made: datetime = BEGAN,
    earlier: Path | None = None,
) -> Reporting:
    reporting = Reporting(ENGINE, made, frames or [0] * len(rows), earlier)
    with open_table(path, tuple(IDS), reporting) as write_row:
        for row in rows:
            write_row(row)
    return reporting


def lines(path: Path) -> list[dict[str, str]]:
    with zipfile.ZipFile(path) as zipped:
        return list(csv.DictReader(io.StringIO(zipped.read(REPORTS).decode())))


def reports(path: Path) -> list[pydicom.Dataset]:
    """Read them in the order of their rows, strictly."""
    with zipfile.ZipFile(path) as zipped, warnings.catch_warnings():
        warnings.simplefilter("error")
        named = [line["report"] for line in lines(path) if line["report"]]
        assert [name for name in zipped.namelist() if name.endswith(".dcm")] == named
        return [pydicom.dcmread(io.BytesIO(zipped.read(name))) for name in named]


def group_of(report: pydicom.Dataset) -> Any:
    """Give the one measurement group, as highdicom reads it by TID 1500 and 1501."""
    content: Any = ComprehensiveSR.from_dataset(report).content
    (group,) = content.get_image_measurement_groups()
    return group


def test_a_report_holds_what_its_row_says(tmp_path: Path) -> None:
    write(tmp_path / "r.zip", [scored("a/b.dcm")])
    (report,) = reports(tmp_path / "r.zip")
    group = group_of(report)
    measured = {m.name.value: (m.value, m.unit.value) for m in group.get_measurements()}
    wanted = {**dict(zip(PROBABILITIES, P, strict=True)), "p_malignant": 0.55}
    assert measured == {name: (value, "1") for name, value in wanted.items()}
    said = {e.name.value: e.value for e in group.get_qualitative_evaluations()}
    assert said["prediction"] == codes.SCT.MalignantMelanoma
    assert said["intended_use"] == codes.DCM.ForResearch
    assert group.tracking_identifier == "a/b.dcm"
    for word in ("made-up", "1.2", "a1" * 32, "b2" * 32, "ab" * 32, "openvino-fp32", RESEARCH):
        assert word in str_of(report), word


def str_of(report: pydicom.Dataset) -> str:
    """Give every text of a report."""
    return "\n".join(str(element.value) for element in report.iterall() if element.VR != "SQ")


def test_patient_study_and_reference_are_the_source_image_s(tmp_path: Path) -> None:
    write(tmp_path / "r.zip", [scored("a.dcm"), scored("m.dcm!/frame-0012")], [0, 12])
    single, framed = reports(tmp_path / "r.zip")
    for report in (single, framed):
        assert {c: str(report[k].value) for c, k in KEYWORDS.items()} == {
            c: IDS[c] for c in KEYWORDS
        }
        assert report.SpecificCharacterSet == "ISO_IR 192"
        (study,) = report.CurrentRequestedProcedureEvidenceSequence
        (series,) = study.ReferencedSeriesSequence
        (image,) = series.ReferencedSOPSequence
        found = study.StudyInstanceUID, series.SeriesInstanceUID
        found += image.ReferencedSOPClassUID, image.ReferencedSOPInstanceUID
        assert found == tuple(list(IDS.values())[-4:])
        (source,) = group_of(report).source_images
        assert source.referenced_sop_instance_uid == IDS["sop_instance_uid"]
        assert source.referenced_sop_class_uid == IDS["sop_class_uid"]
        assert source.referenced_frame_numbers == ([12] if report is framed else None)
    assert single.SeriesInstanceUID == framed.SeriesInstanceUID != IDS["series_instance_uid"]
    assert single.SOPInstanceUID != framed.SOPInstanceUID


def test_nothing_says_that_a_person_has_seen_it(tmp_path: Path) -> None:
    write(tmp_path / "r.zip", [scored("a.dcm")])
    (report,) = reports(tmp_path / "r.zip")
    flags = report.CompletionFlag, report.VerificationFlag, report.PreliminaryFlag
    assert flags == ("PARTIAL", "UNVERIFIED", "PRELIMINARY")
    assert (report.ContentDate, report.ContentTime) == ("20260701", "223005")


def test_every_class_has_a_code_and_those_of_snomed_are_in_dicom_or_documented() -> None:
    found = {label: code_of(label) for label in CLASSES}
    assert len(set(found.values())) == len(CLASSES)
    assert found["mel"][:2] == (codes.SCT.MalignantMelanoma.value, "SCT")
    docs = (Path(__file__).parents[2] / "docs" / "dicom.md").read_text()
    for label, (value, scheme, meaning) in found.items():
        assert (scheme == "SCT") == (label in SNOMED)
        assert (
            f"| `{label}` | {value if scheme == 'SCT' else f'`{value}`'} | `{scheme}` | {meaning} |"
            in docs
        )


def test_no_row_is_lost_and_rows_are_those_of_csv(tmp_path: Path) -> None:
    rows = [failed("a.dcm"), not_dicom("b.jpg"), scored("c.dcm"), scored("d.dcm", study_id=None)]
    done = write(tmp_path / "r.zip", rows)
    assert (done.written, done.missing) == (2, 1)
    csv_table = write_rows(tmp_path / "t.csv", "csv", rows, tuple(IDS))
    with zipfile.ZipFile(tmp_path / "r.zip") as zipped:
        assert zipped.read(ROWS) == csv_table.read_bytes()
        assert {one.compress_type for one in zipped.infolist()} == {zipfile.ZIP_STORED}
        assert zipped.testzip() is None
    assert list(read_rows(tmp_path / "r.zip", "dicom-sr", tuple(IDS))) == rows
    assert [(line["image"], line["report"]) for line in lines(tmp_path / "r.zip")] == [
        ("a.dcm", ""),
        ("b.jpg", ""),
        ("c.dcm", "reports/0000003_c.dcm"),
        ("d.dcm", "reports/0000004_d.dcm"),
    ]
    why = [line["reason"] for line in lines(tmp_path / "r.zip")]
    assert why[0] == "the image was not scored"
    assert why[1].startswith("not a DICOM file")
    assert why[2:] == ["", ""]


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("patient_id", "x" * 65),
        ("patient_id", "two\\values"),
        ("patient_id", "a\x1b$B"),
        ("patient_id", "lone \udce9"),
        ("study_instance_uid", "1.2." + "3" * 61),
        ("series_instance_uid", "1.2.x"),
        ("sop_instance_uid", "1.02.3"),
        ("sop_class_uid", "1.2\\1.3"),
        ("sop_instance_uid", ""),
    ],
)
def test_an_image_that_no_report_could_name_has_none_and_the_zip_says_so(
    tmp_path: Path, column: str, value: str
) -> None:
    done = write(tmp_path / "r.zip", [scored("a.dcm", **{column: value}), scored("b.dcm")])
    assert (done.written, done.missing) == (1, 1)
    bad, good = lines(tmp_path / "r.zip")
    assert bad["report"] == "" != good["report"]
    assert column in bad["reason"]
    assert value not in bad["reason"] or not value


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("patient_name", "x" * 65),
        ("patient_name", "a\\b"),
        ("patient_birth_date", "19990230"),
        ("patient_birth_date", "1990-01-01"),
        ("patient_sex", "female"),
        ("study_date", "20200101-20210101"),
        ("study_time", "8:15"),
        ("study_id", "x" * 17),
        ("accession_number", "x\r\ny"),
        ("referring_physician_name", "\x00\x07"),
    ],
)
def test_a_value_that_dicom_does_not_allow_is_left_out_and_the_zip_says_so(
    tmp_path: Path, column: str, value: str
) -> None:
    write(tmp_path / "r.zip", [scored("a.dcm", **{column: value})])
    (report,) = reports(tmp_path / "r.zip")
    assert not report[KEYWORDS[column]].value
    assert report.PatientID == IDS["patient_id"]
    (line,) = lines(tmp_path / "r.zip")
    assert (line["left_empty"], line["reason"]) == (column, "")


@pytest.mark.parametrize(
    "name",
    ["山田^太郎=やまだ^たろう", "Bono", "Иванов^Пётр", "^^^Dr.", "", "=1+1", "a'\"<>&;^%41"],
)
def test_names_of_any_script_come_back(tmp_path: Path, name: str) -> None:
    write(tmp_path / "r.zip", [scored("a.dcm", patient_name=name)])
    (report,) = reports(tmp_path / "r.zip")
    assert str(report.PatientName) == name


def test_no_warning_quotes_a_patient(
    tmp_path: Path, recwarn: pytest.WarningsRecorder, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path / "r.zip", [scored("a.dcm", patient_name="Bono", patient_id="x" * 70)])
    assert not recwarn.list
    assert not caplog.records


def test_no_name_of_an_image_breaks_that_of_its_report(tmp_path: Path) -> None:
    names = ["../../etc/passwd", "a" * 300 + ".dcm", "CON", "日本.dcm", "x\ny", "A.dcm", "a.dcm"]
    write(tmp_path / "r.zip", [scored(name) for name in names])
    found = [line["report"] for line in lines(tmp_path / "r.zip")]
    assert found == sorted(set(found))
    for name in found:
        folder, _, file = name.rpartition("/")
        assert folder == "reports"
        assert len(file) < 80
        assert file.isascii()
        assert ".." not in name
    assert len({name.lower() for name in found}) == len(names)


def test_the_same_run_writes_the_same_bytes_and_another_one_other_reports(tmp_path: Path) -> None:
    rows = [scored("a.dcm"), failed("b.dcm")]
    for name in ("first.zip", "again.zip"):
        write(tmp_path / name, rows)
    assert (tmp_path / "first.zip").read_bytes() == (tmp_path / "again.zip").read_bytes()
    write(tmp_path / "later.zip", rows, made=BEGAN + timedelta(days=1))
    first, later = (reports(tmp_path / name)[0] for name in ("first.zip", "later.zip"))
    assert first.SOPInstanceUID != later.SOPInstanceUID
    assert first.SeriesInstanceUID != later.SeriesInstanceUID


def test_a_report_that_says_the_same_keeps_its_date_and_its_uid(tmp_path: Path) -> None:
    """A PACS that has it already would have it twice."""
    old, changed = scored("b.dcm"), scored("c.dcm")
    write(tmp_path / "old.zip", [failed("a.dcm"), old, changed, scored("gone.dcm")])
    rows = [scored("a.dcm"), scored("aa.dcm"), old, replace(changed, sha256="cd" * 32)]
    later = BEGAN + timedelta(days=1)
    write(tmp_path / "new.zip", rows, made=later, earlier=tmp_path / "old.zip")
    before = {line["image"]: line for line in lines(tmp_path / "old.zip")}
    after = {line["image"]: line for line in lines(tmp_path / "new.zip")}
    assert after["b.dcm"]["sop_instance_uid"] == before["b.dcm"]["sop_instance_uid"]
    assert {name: line["made_utc"][:10] for name, line in after.items()} == {
        "a.dcm": "2026-07-02",
        "aa.dcm": "2026-07-02",
        "b.dcm": "2026-07-01",
        "c.dcm": "2026-07-02",
    }
    kept = reports(tmp_path / "old.zip")[0], reports(tmp_path / "new.zip")[2]
    assert kept[0] == kept[1]
    # Once more, over what it wrote itself: a kill may have come before the seal.
    write(tmp_path / "last.zip", rows, made=later, earlier=tmp_path / "new.zip")
    assert (tmp_path / "last.zip").read_bytes() == (tmp_path / "new.zip").read_bytes()


def _other(path: Path, members: Mapping[str, bytes], how: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", how) as zipped:
        for name, content in members.items():
            zipped.writestr(name, content)
    return path


def test_a_zip_that_no_run_wrote_is_refused_with_what_was_wanted(tmp_path: Path) -> None:
    good = write_rows(tmp_path / "good.zip", "dicom-sr", [])
    content = zipfile.ZipFile(good).read(ROWS)
    found = {
        "no rows.csv": _other(tmp_path / "other.zip", {"a.csv": content}),
        "a compressed rows.csv": _other(
            tmp_path / "deflated.zip", {ROWS: content}, zipfile.ZIP_DEFLATED
        ),
    }
    damaged = tmp_path / "damaged.zip"
    damaged.write_bytes(good.read_bytes().replace(b"image,status", b"image,Status", 1))
    for words, path in found.items():
        with pytest.raises(InputError, match=f"found {words}.*wanted a zip that hambatch score"):
            list(read_rows(path, "dicom-sr"))
    with pytest.raises(InputError, match="found"):
        list(read_rows(damaged, "dicom-sr"))
