"""A run over DICOM files: a row a frame, found again by its name; identifiers by option alone."""

import csv
import io
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from pydicom.uid import DeflatedExplicitVRLittleEndian

from hambatch.cli import hambatch
from hambatch.scoring import changes, start
from hambatch.sources.dicom.header import IDENTIFIERS
from tests.cli.test_sources import zipped
from tests.conftest import jpeg_bytes
from tests.faults.dicom_writing import baseline, described, jpeg_of, pixels_of, with_identifiers
from tests.faults.dicom_writing import written as file_of

NOT_ALL = 3

PICTURES = [pixels_of(jpeg_bytes(k)) for k in range(4)]


def identified(content: bytes, seed: int) -> tuple[bytes, list[str]]:
    """Fill a file's header with values that are found nowhere else."""
    from pydicom import dcmread

    data = dcmread(io.BytesIO(content))
    values = with_identifiers(data, seed)
    return file_of(data, data.file_meta.TransferSyntaxUID), values


def invoke(engine: Path, *words: object) -> Result:
    line = [*map(str, words), "--engine", str(engine)]
    return CliRunner().invoke(hambatch, line)


def rows(table: Path) -> dict[str, dict[str, str]]:
    with table.open(encoding="utf-8", newline="") as stream:
        return {row["image"]: row for row in csv.DictReader(stream)}


def scores(row: dict[str, str]) -> list[str]:
    """All that a row says of the picture."""
    return [row[name] for name in row if name.startswith(("p_", "dec", "pred", "stat"))]


def record(table: Path) -> dict[str, object]:
    return json.loads(table.with_name(f"{table.name}.run.json").read_text())


class Place:
    """A folder of DICOM files, and all values of their headers."""

    def __init__(self, place: Path) -> None:
        self.source, self.values = place / "s", list[str]()
        self.source.mkdir()
        native = described(PICTURES[3:])
        native.PixelData = PICTURES[3].tobytes()
        native["PixelData"].VR = "OB"
        broken = baseline(PICTURES[:2], tags={"NumberOfFrames": 3})
        for seed, (name, content) in enumerate(
            {
                "x.dcm": baseline(PICTURES[:3]),
                "no suffix": file_of(native, DeflatedExplicitVRLittleEndian),
                "broken.dcm": broken,
                "damaged.dcm": baseline(PICTURES[:1]),
                "m.dcm": baseline(PICTURES[:2]),
            }.items()
        ):
            content, values = identified(content, seed)
            if name == "damaged.dcm":
                content = content[: content.index(b"\xe0\x7f\x10\x00") + 40]
            (self.source / name).write_bytes(content)
            self.values += values
        zipped(self.source / "z.zip", {"m.dcm": (self.source / "m.dcm").read_bytes()})
        (self.source / "m.dcm").unlink()
        for k in range(3):
            (self.source / f"{k}.jpg").write_bytes(jpeg_of(PICTURES[k]))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp("dicom"))


@pytest.fixture(scope="module")
def named(place: Place, tiny_engine: Path) -> Path:
    """The table with identifiers, of a run at whose end no file is newer than its beginning."""
    out = place.source.parent / "named.csv"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(changes, "_reading_since", lambda *_: float("inf"))
        words = ("--archives", "--keep-ids", "--update", "--out", out)
        result = invoke(tiny_engine, "score", place.source, *words)
    assert result.exit_code == NOT_ALL, result.output
    return out


def test_every_frame_has_the_scores_of_its_picture(named: Path) -> None:
    found = rows(named)
    jpegs = [scores(found[f"{k}.jpg"]) for k in range(3)]
    assert [scores(found[f"x.dcm!/frame-000{k}"]) for k in (1, 2, 3)] == jpegs
    assert [scores(found[f"z.zip!/m.dcm!/frame-000{k}"]) for k in (1, 2)] == jpegs[:2]
    assert found["no suffix"]["status"] == "ok"
    assert {found[f"broken.dcm!/frame-000{k}"]["status"] for k in (1, 2, 3)} == {"failed"}
    assert found["damaged.dcm"]["status"] == "failed"
    assert len({found[f"x.dcm!/frame-000{k}"]["sha256"] for k in (1, 2, 3)}) == 1
    since = record(named)["changed_since_begun"]
    assert (since["added"], since["gone"]) == (0, 0)  # type: ignore[index]


def test_identifiers_stand_in_the_rows_of_their_file(place: Place, named: Path) -> None:
    found = rows(named)
    cells = [found["x.dcm!/frame-0002"][name] for name in IDENTIFIERS]
    assert set(cells) - set(place.values) == {"1.2.840.10008.5.1.4.1.1.77.1.4.1"}
    assert {found["0.jpg"][name] for name in IDENTIFIERS} == {""}
    assert record(named)["output"]["carried"] == [*IDENTIFIERS]  # type: ignore[index]


def test_without_the_option_no_value_of_a_header_is_in_any_output(
    place: Place, tiny_engine: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = place.source.parent / "p.csv"
    words = ("score", place.source, "--out", out)
    stopped = invoke(tiny_engine, *words, "--fail-over", "1", "--batch-size", "1")
    assert stopped.exit_code == 1
    said = [str(stopped.exception), stopped.output]
    journal = [path for path in out.with_name("p.csv.journal").rglob("*") if path.is_file()]
    assert {"listing", "rows", "run.json"} <= {path.name for path in journal}
    said += [path.read_text(errors="replace") for path in journal]

    finished = invoke(tiny_engine, *words)
    assert finished.exit_code == NOT_ALL, finished.output
    outputs = [out, out.with_name("p.csv.run.json")]
    # Workers write to the descriptors themselves.
    said += [*capfd.readouterr(), finished.output, *(path.read_text() for path in outputs)]
    assert len(place.values) > 10_000
    assert [value for value in place.values if any(value in text for text in said)] == []
    assert "damaged.dcm" in said[-2]

    # In a plain folder, a frame is found again by its name.
    (place.source / "broken.dcm").write_bytes(baseline(PICTURES[:3]))
    retried = invoke(tiny_engine, *words, "--retry-failed")
    assert retried.exit_code == NOT_ALL, retried.output
    found = rows(out)
    again = [scores(found[f"broken.dcm!/frame-000{k}"]) for k in (1, 2, 3)]
    assert again == [scores(found[f"{k}.jpg"]) for k in range(3)]


def test_an_update_knows_frames_that_moved_and_carries_identifiers(
    place: Place, named: Path, tiny_engine: Path
) -> None:
    before = rows(named)
    (place.source / "x.dcm").rename(place.source / "moved.dcm")
    words = ("--archives", "--keep-ids", "--update", "--out", named)
    result = invoke(tiny_engine, "score", place.source, *words)
    assert result.exit_code == NOT_ALL, result.output
    with named.with_name("named.csv.changes.csv").open(newline="") as stream:
        lines = {line["image"]: line["before"] for line in csv.DictReader(stream)}
    assert {name: old for name, old in lines.items() if "moved" in name} == {
        f"moved.dcm!/frame-000{k}": f"x.dcm!/frame-000{k}" for k in (1, 2, 3)
    }
    found = rows(named)
    for k in (1, 2, 3):
        row, old = found[f"moved.dcm!/frame-000{k}"], before[f"x.dcm!/frame-000{k}"]
        assert row == old | {"image": row["image"]}
    assert record(named)["update"]["scored"] == 3  # type: ignore[index]


def test_a_table_with_identifiers_is_verified_and_a_wrong_one_is_found(
    place: Place, named: Path, tiny_engine: Path
) -> None:
    words = ("verify", named, place.source, "--sample", "4")
    verdict = invoke(tiny_engine, *words)
    assert verdict.exit_code == 0, verdict.output
    name = rows(named)["no suffix"]["patient_id"]
    named.write_text(named.read_text().replace(name, "SOMEBODY"))
    verdict = invoke(tiny_engine, *words[:-1], "0")
    assert verdict.exit_code == NOT_ALL
    assert "carried columns differ" in verdict.output


def test_no_row_names_the_patient_of_a_file_that_was_replaced_after_the_listing(
    tmp_path: Path, tiny_engine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, out, list_for_run = tmp_path / "s", tmp_path / "p.csv", start.list_for_run
    source.mkdir()
    files = [baseline(PICTURES[k : k + 2], tags={"PatientID": f"P{k}"}) for k in (0, 2)]
    for name in ("kept.dcm", "replaced.dcm", "jpeg.dcm"):
        (source / name).write_bytes(files[0])

    def listed(*how: object, **others: object) -> object:
        found = list_for_run(*how, **others)  # type: ignore[arg-type]
        (source / "replaced.dcm").write_bytes(files[1])
        (source / "jpeg.dcm").write_bytes(jpeg_of(PICTURES[3]))
        return found

    words = ("score", source, "--keep-ids", "--update", "--out", out)
    with monkeypatch.context() as patch:
        patch.setattr(start, "list_for_run", listed)
        result = invoke(tiny_engine, *words)
    assert result.exit_code == NOT_ALL, result.output
    assert {(name[:4], row["status"]) for name, row in rows(out).items()} == {
        ("kept", "ok"),
        ("repl", "failed"),
        ("jpeg", "failed"),
    }
    named = {name[:4]: row["patient_id"] for name, row in rows(out).items()}
    assert named == {"kept": "P0", "repl": "", "jpeg": ""}
    again = invoke(tiny_engine, *words)
    assert again.exit_code == 0, again.output
    found = [row for name, row in rows(out).items() if name.startswith("replaced")]
    assert [(row["status"], row["patient_id"]) for row in found] == [("ok", "P2")] * 2
