"""`hambatch score --keep-ids --format dicom-sr`, from files of DICOM to a zip of reports."""

import csv
import io
import json
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pydicom
import pytest
from click.testing import CliRunner, Result
from highdicom.sr import ComprehensiveSR
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGBaseline8Bit

from hambatch.checks.verify.reports import check_reports
from hambatch.cli import hambatch
from hambatch.errors import ExitCode, InputError, MissingDependency
from hambatch.sinks.formats import read_rows
from hambatch.sinks.publish import carried_in
from hambatch.sources.entry import Entry
from tests.conftest import jpeg_bytes

ROOT = "1.2.826.0.1.3680043.10.1234"

PRIVATE = f"{ROOT}.99"
"""A SOP class of some maker of cameras."""

BIRTH_SIDE = b"\x28\x00\x02\x00US"
"""How the first element behind all identifiers begins: samples per pixel."""

NAME = "Ζωή^Παπαδοπούλου"


def dicom_of(number: int, *pictures: bytes, **values: Any) -> bytes:
    """Write JPEGs of 96 x 72 as the frames of a file."""
    data = Dataset()
    data.SpecificCharacterSet = "ISO_IR 192"
    data.SOPClassUID, data.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.77.1.4", f"{ROOT}.9.{number}"
    data.StudyInstanceUID, data.SeriesInstanceUID = f"{ROOT}.1", f"{ROOT}.2"
    data.PatientID, data.PatientName, data.StudyDate = f"P{number}", NAME, "20260630"
    data.Rows, data.Columns, data.SamplesPerPixel = 72, 96, 3
    data.PhotometricInterpretation, data.PlanarConfiguration = "YBR_FULL_422", 0
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 8, 8, 7, 0
    data.NumberOfFrames = len(pictures)
    data.PixelData = encapsulate([*pictures])
    for keyword, value in values.items():
        setattr(data, keyword, value)
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    stream = io.BytesIO()
    data.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def run(*arguments: object) -> Result:
    return CliRunner().invoke(hambatch, [*map(str, arguments)])


class Zip:
    """The reports, and the rows of both tables, by image."""

    def __init__(self, path: Path) -> None:
        with zipfile.ZipFile(path) as zipped:
            self.rows = self._table(zipped, "rows.csv")
            self.lines = self._table(zipped, "reports.csv")
            self.bytes = {
                image: zipped.read(line["report"])
                for image, line in self.lines.items()
                if line["report"]
            }
        self.reports = {k: pydicom.dcmread(io.BytesIO(b)) for k, b in self.bytes.items()}

    def _table(self, zipped: zipfile.ZipFile, name: str) -> Mapping[str, Mapping[str, str]]:
        lines = csv.DictReader(io.StringIO(zipped.read(name).decode(), newline=""))
        return {line["image"]: line for line in lines}

    def group(self, image: str) -> Any:
        content: Any = ComprehensiveSR.from_dataset(self.reports[image]).content
        (group,) = content.get_image_measurement_groups()
        return group


@pytest.fixture(scope="module")
def scored(tiny_engine: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of DICOM in a folder and in a zip, and a picture that is none, with their reports."""
    folder = tmp_path_factory.mktemp("scored")
    pictures = folder / "images"
    pictures.mkdir()
    one, two = jpeg_bytes(1), jpeg_bytes(2)
    (pictures / "single.dcm").write_bytes(dicom_of(1, one))
    (pictures / "frames.dcm").write_bytes(dicom_of(2, one, two))
    (pictures / "bad_uid.dcm").write_bytes(dicom_of(3, two, SeriesInstanceUID=""))
    private = dicom_of(6, two, SOPClassUID=PRIVATE)
    (pictures / "private.dcm").write_bytes(private)
    (pictures / "spoilt.dcm").write_bytes(dicom_of(7, one, PatientID="\ufffd7"))
    # As out of a damaged sequence: the number of another patient behind the one's own.
    other = b"\x10\x00\x20\x00LO\x06\x00OTHER "
    (pictures / "twice.dcm").write_bytes(private.replace(BIRTH_SIDE, other + BIRTH_SIDE, 1))
    (pictures / "cut.dcm").write_bytes(dicom_of(4, two)[:900])
    (pictures / "plain.jpg").write_bytes(one)
    with zipfile.ZipFile(folder / "night.zip", "w") as zipped:
        zipped.writestr("frame-0007", dicom_of(5, two))
    result = run("score", *command(folder, tiny_engine), "--update")
    assert result.exit_code == ExitCode.SOME_IMAGES_FAILED, result.output
    assert "no report: 4 scored images; reports.csv in the zip says why" in result.output
    return folder


def command(folder: Path, engine: Path) -> list[object]:
    sources = [folder / "images", folder / "night.zip", "--engine", engine]
    return [*sources, "--keep-ids", "--format", "dicom-sr", "--out", folder / "reports.zip"]


SINGLE, FIRST, SECOND, MEMBER, OF_PRIVATE_CLASS = (
    "images/single.dcm",
    "images/frames.dcm!/frame-0001",
    "images/frames.dcm!/frame-0002",
    "night.zip!/frame-0007",
    "images/private.dcm",
)


def test_every_scored_frame_of_dicom_has_its_report_and_every_image_its_row(scored: Path) -> None:
    found = Zip(scored / "reports.zip")
    assert set(found.reports) == {SINGLE, FIRST, SECOND, MEMBER, OF_PRIVATE_CLASS}
    names = ("bad_uid.dcm", "cut.dcm", "plain.jpg", "spoilt.dcm", "twice.dcm")
    others = {f"images/{name}" for name in names}
    assert set(found.rows) == set(found.lines) == set(found.reports) | others
    assert {found.rows[image]["status"] for image in found.reports} == {"ok"}
    record = json.loads((scored / "reports.zip.run.json").read_text())
    counts = record["output"]["reports"]
    assert (counts["written"], counts["missing"]) == (5, 4)
    assert found.lines["images/bad_uid.dcm"]["reason"] == "the header has no series_instance_uid"
    assert "patient_id" in found.lines["images/spoilt.dcm"]["reason"]
    assert found.rows["images/twice.dcm"]["patient_id"] == ""


def test_a_report_has_the_numbers_of_its_row_and_names_its_frame(scored: Path) -> None:
    found = Zip(scored / "reports.zip")
    for image, report in found.reports.items():
        group, row = found.group(image), found.rows[image]
        measured = {m.name.value: f"{m.value:.6f}" for m in group.get_measurements()}
        assert measured == {name: row[name] for name in row if name.startswith("p_")}
        (source,) = group.source_images
        (study,) = report.CurrentRequestedProcedureEvidenceSequence
        (reference,) = study.ReferencedSeriesSequence[0].ReferencedSOPSequence
        assert source.referenced_sop_class_uid == row["sop_class_uid"]
        assert reference.ReferencedSOPClassUID == row["sop_class_uid"]
        assert source.referenced_sop_instance_uid == row["sop_instance_uid"]
        assert (report.PatientID, str(report.PatientName)) == (row["patient_id"], NAME)
        assert report.StudyInstanceUID == row["study_instance_uid"] == f"{ROOT}.1"
        # A file of that name in a zip is no frame.
        wanted = {FIRST: [1], SECOND: [2]}.get(image)
        assert source.referenced_frame_numbers == wanted


def test_verify_makes_reports_again_and_they_are_the_same(scored: Path) -> None:
    result = run("verify", scored / "reports.zip", scored / "images", scored / "night.zip")
    assert result.exit_code == ExitCode.OK, result.output
    assert "all agree" in result.output


@pytest.mark.parametrize(
    ("member", "before", "after", "found"),
    [
        ("single.dcm", b"P1", b"P2", "report is not the one that a run makes of its row"),
        ("reports.csv", b"images_single", b"images_double", "report is named otherwise"),
        ("rows.csv", b"", b"", "members of the zip are not those of reports.csv"),
        (
            "reports.csv",
            b"1.2.826.0.1.3680043.8.498",
            b"1.2.826.0.1.3680043.8.499",
            "reports.csv: line is not that",
        ),
        ("reports.csv", b"images/cut.dcm,", b"images/cat.dcm,", "reports.csv has not one line for"),
    ],
)
def test_verify_finds_what_was_changed(
    scored: Path, tmp_path: Path, member: str, before: bytes, after: bytes, found: str
) -> None:
    with (
        zipfile.ZipFile(scored / "reports.zip") as old,
        zipfile.ZipFile(tmp_path / "forged.zip", "w") as new,
    ):
        for info in old.infolist():
            content = old.read(info)
            if info.filename.endswith(member):
                assert before in content
                content = content.replace(before, after, 1)
                if not before:
                    new.writestr("reports/of_another.dcm", b"")
            new.writestr(info, content)
    record = json.loads((scored / "reports.zip.run.json").read_text())
    carried = carried_in(record)
    rows = {row.image: row for row in read_rows(scored / "reports.zip", "dicom-sr", carried)}
    entries = {name: Entry(name, frame={FIRST: 1, SECOND: 2}.get(name, 0)) for name in rows}
    parts = (record, rows, list(rows.values()), entries)
    assert not check_reports(scored / "reports.zip", "dicom-sr", *parts).differences
    difference, *_ = check_reports(tmp_path / "forged.zip", "dicom-sr", *parts).differences
    assert found in difference.what


def test_an_update_without_news_writes_the_same_reports(scored: Path, tiny_engine: Path) -> None:
    before = (scored / "reports.zip").read_bytes()
    result = run("score", *command(scored, tiny_engine), "--update")
    assert "nothing new" in result.output
    assert (scored / "reports.zip").read_bytes() == before


def test_it_is_refused_before_any_work_without_what_it_needs(
    scored: Path, tiny_engine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = ("--format", "dicom-sr", "--out", tmp_path / "r.zip", "--engine", tiny_engine)
    with_ids = ("--keep-ids", *out)
    refused = run("score", scored / "images", *out)
    assert isinstance(refused.exception, InputError)
    assert "Next: add --keep-ids" in str(refused.exception)
    refused = run("score", scored / "images" / "plain.jpg", *with_ids)
    assert isinstance(refused.exception, InputError)
    assert "none of the 1 images is a DICOM file" in str(refused.exception)
    monkeypatch.setitem(sys.modules, "highdicom", None)
    refused = run("score", scored / "images", *with_ids)
    assert isinstance(refused.exception, MissingDependency)
    assert "pip install 'hambatch[dicom]'" in str(refused.exception)
    assert not list(tmp_path.iterdir())
