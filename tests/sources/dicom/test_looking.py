"""The process that reads headers may crash, hang or lie: its file is an ordinary one then."""

import io
import os
import signal
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from hambatch.errors import InputError, MissingDependency
from hambatch.sources.dicom import looking
from hambatch.sources.dicom.header import IDENTIFIERS, LONGEST, read_header
from hambatch.sources.listing import list_sources
from hambatch.sources.source import find_sources
from tests.sources.archives.test_walking import status
from tests.sources.dicom.making import PHOTOGRAPH, dicom, entries, listed, names
from tests.waiting import wait_for

CHILD = """
import os, sys, signal
from hambatch.system.probe import answer_requests
def answer(request):
    if request is None: return None
    name = os.path.basename(request[0])
    if name.startswith("crash"): os.abort()
    if name.startswith("hang"):
        while True: pass
    if name.startswith("lie"): return {"frames": "3", "size": 1, "identifiers": []}
    if name.startswith("pid"): print(os.getpid(), file=open(sys.argv[0] + ".pid", "w"))
    if name.startswith("disk"): return {"errno": 5}
    return {"frames": 2, "size": 1000, "identifiers": []}
def main(): answer_requests(answer)
"""


@pytest.fixture
def child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Have another program look, and give a folder of DICOM files."""
    (tmp_path / "child.py").write_text(CHILD)
    there = os.environ.get("PYTHONPATH", "")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), there]).rstrip(os.pathsep))
    monkeypatch.setattr(looking, "LOOK", "child")
    monkeypatch.setattr(looking, "SECONDS", 0.5)
    (tmp_path / "s").mkdir()
    return tmp_path / "s"


def test_a_file_that_crashes_hangs_or_confuses_the_process_costs_no_other_its_frames(
    child: Path, tmp_path: Path
) -> None:
    for name in ("a", "b", "crash1", "crash2", "hang", "lie"):
        (child / name).write_bytes(dicom())
    found = names(tmp_path, child)
    frames = [f"{name}!/frame-000{k}" for name in "ab" for k in (1, 2)]
    assert found == [*frames, "crash1", "crash2", "hang", "lie"]


def test_a_disk_that_does_not_answer_ends_the_listing(child: Path, tmp_path: Path) -> None:
    from hambatch.errors import Shortage

    (child / "disk").write_bytes(dicom())
    with pytest.raises(Shortage, match="disk cannot be listed: Input/output error"):
        names(tmp_path, child)


def test_a_pydicom_that_cannot_be_used_is_a_bad_setup(child: Path, tmp_path: Path) -> None:
    (tmp_path / "child.py").write_text("def main(): raise ImportError('no such symbol')")
    (child / "a.dcm").write_bytes(dicom())
    with pytest.raises(InputError, match=r"failed: ImportError: no such symbol.*\nNext: pip"):
        names(tmp_path, child)


def test_the_process_ends_with_its_parent_even_in_the_middle_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "child.py").write_text(CHILD)
    program = (
        "from hambatch.system.probe import AnsweringChild\n"
        "child = AnsweringChild('child')\n"
        "child.ask(None, 60)\n"
        "print(child._process.pid, flush=True)\n"
        "child.ask(['hang', None], 1e6)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    line = [sys.executable, "-c", program]
    parent = subprocess.Popen(line, stdout=subprocess.PIPE, env=environment)
    assert parent.stdout
    pid = int(parent.stdout.readline())
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    wait_for(lambda: "State:\tZ" in status(pid), "the child ends with its parent")


def test_a_file_that_a_link_leads_to_outside_is_not_looked_at(tmp_path: Path) -> None:
    source, outside = tmp_path / "s", tmp_path / "x.dcm"
    source.mkdir()
    outside.write_bytes(dicom(2, PatientID="P1"))
    (source / "in.dcm").symlink_to(outside)
    found = entries(tmp_path, source, keep_ids=True)
    assert (*found, *found["in.dcm"].carried) == ("in.dcm",)
    assert len(names(tmp_path, source, keep_ids=True, follow_symlinks=True)) == 2


def test_a_header_that_inflates_without_end_is_read_as_far_as_it_matters() -> None:
    content = dicom(7)
    header = content[: content.index(b"\xe0\x7f\x10\x00")]
    meta, data = (
        header[: header.index(b"\x08\x00\x16\x00")],
        header[header.index(b"\x08\x00\x16\x00") :],
    )
    meta = meta.replace(b"1.2.840.10008.1.2.4.50", b"1.2.840.10008.1.2.1.99")
    packer = zlib.compressobj(9, wbits=-15)
    bomb = packer.compress(data + b"\x09\x00\x01\x00OB\0\0\xf0\xff\xff\xff")
    bomb += b"".join(packer.compress(bytes(1 << 20)) for _ in range(80)) + packer.flush()
    assert read_header(io.BytesIO(meta + bomb), with_ids=False).frames == 7


VALUES = {
    "PatientID": "P 1",
    "PatientName": "Roe^Jän=name",
    "PatientBirthDate": "19370211",
    "PatientSex": "F",
    "StudyDate": "20200102",
    "StudyTime": "101112.5",
    "StudyID": "=1+1",
    "AccessionNumber": "A\n1",
    "ReferringPhysicianName": ["One^A", "Two^B"],
    "StudyInstanceUID": "1.2.3",
    "SeriesInstanceUID": "1.2.3.4",
}


def test_identifiers_are_carried_by_all_images_of_a_file_and_by_no_other(tmp_path: Path) -> None:
    source = tmp_path / "s"
    source.mkdir()
    named = dicom(2, SpecificCharacterSet="ISO_IR 192", **VALUES)
    (source / "a.dcm").write_bytes(named)
    (source / "b").write_bytes(dicom(1, PatientID="x" * (LONGEST + 1), StudyDate=""))
    # Its name has one row with identifiers as without them.
    (source / "c.jpg").write_bytes(dicom(2, PatientID="hidden"))
    # What follows cannot be read.
    cut = dicom(1, PatientID="P1", StudyID="S1").replace(b"SH\x02\0S1", b"SQ\x02\0S1")
    (source / "e.dcm").write_bytes(cut)
    (source / "d.jpg").write_bytes(b"\xff\xd8\xff")
    _, listing = listed(tmp_path, source, keep_ids=True)
    assert listing.columns == tuple(IDENTIFIERS)
    found = {entry.name: dict(zip(IDENTIFIERS, entry.carried)) for entry in listing.entries()}  # noqa: B905
    assert found.pop("d.jpg") == {}
    assert found.pop("e.dcm").get("study_id") is None
    for cells in found.values():
        assert cells.pop("sop_class_uid") == PHOTOGRAPH
        assert cells.pop("sop_instance_uid")
    wanted = {name: VALUES.get(keyword) for name, keyword in IDENTIFIERS.items()}
    wanted["referring_physician_name"] = "One^A\\Two^B"
    assert {name: value for name, value in wanted.items() if value} == found["a.dcm!/frame-0001"]
    assert found["a.dcm!/frame-0002"] == found["a.dcm!/frame-0001"]
    assert set(found["b"].values()) == {None}
    assert found["c.jpg"]["patient_id"] == "hidden"


def test_a_manifest_with_a_column_of_identifiers_is_refused_with_what_to_do(
    tmp_path: Path,
) -> None:
    table = tmp_path / "m.csv"
    table.write_text("image,Patient ID\nx.dcm,1\n")
    with pytest.raises(InputError, match=r"column 'Patient ID', and --keep-ids adds one.*\nNext: "):
        listed(tmp_path, table, keep_ids=True)
    assert listed(tmp_path, table)[1].columns == ("Patient ID",)


def test_without_pydicom_files_are_listed_and_identifiers_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looking, "find_spec", lambda name: None)
    (tmp_path / "s").mkdir()
    (tmp_path / "s/a.dcm").write_bytes(dicom(2))
    assert names(tmp_path, tmp_path / "s") == ["a.dcm"]
    sources = find_sources([tmp_path / "s"], keep_ids=True)
    with pytest.raises(
        MissingDependency, match=r"--keep-ids needs .*\nNext: pip install 'hambatch"
    ):
        list_sources(sources, tmp_path / "listing")
