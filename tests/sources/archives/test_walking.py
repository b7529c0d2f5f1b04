"""A child process walks an archive, and its end, whatever it is, says something."""

import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from hambatch.errors import Shortage
from hambatch.sources.archives import walking
from hambatch.sources.archives.walking import ArchiveLimits, kind_of_archive, walk_archive
from hambatch.sources.folder import Survey
from tests.conftest import jpeg_bytes
from tests.sources.archives.making import read, tar_of, walked, zip_of
from tests.waiting import wait_for

ONE = jpeg_bytes(1)


def test_rows_are_as_in_a_folder_and_the_rest_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in {
            "a.jpg": ONE,
            "deep/b": b"no image, but named like none of the others",
            "real.txt": ONE,
            "notes.txt": b"words",
            "caf\udce9.txt": b"words",
            "000.cls": b"7",
            "__MACOSX/._a.jpg": b"\0\5\26\7",
            "__MACOSX/deep/._b": b"\0\5\26\7",
            "p1/@eaDir/a.jpg": ONE,
            "p2/@eaDir/a.jpg": ONE,
            ".Trash-0/a.jpg": ONE,
            "in.zip": zip_of([("x.jpg", ONE)]),
        }.items():
            archive.writestr(name.replace("\udce9", "é"), content)
    survey = Survey()
    found = walked(path, survey)
    assert [one.name for one in found] == ["a.jpg", "deep/b", "real.txt"]
    assert read(path, found)["real.txt"] == ONE
    assert survey.others.names == ["000.cls", "café.txt", "notes.txt"]
    assert survey.archives.names == ["in.zip"]
    counted = {name: (one.folders, one.files) for name, one in survey.skipped.items()}
    assert counted == {"__MACOSX": (1, 2), "@eaDir": (2, 2), ".Trash-0": (1, 1)}


def test_names_in_the_survey_may_be_told_apart(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(tar_of([("n.txt", b"words"), ("in.zip", zip_of([]))]))
    survey = Survey()
    limits = ArchiveLimits(100)
    assert not list(
        walk_archive(tmp_path / "a.tar", survey, limits, nested=False, prefix="a.tar!/")
    )
    assert survey.others.names == ["a.tar!/n.txt"]
    assert survey.archives.names == ["a.tar!/in.zip"]


def test_an_archive_that_is_gone_or_no_file_is_a_row(tmp_path: Path) -> None:
    (gone,) = walked(tmp_path / "gone.zip")
    assert gone.problem == "archive cannot be read: No such file or directory"
    os.mkfifo(tmp_path / "pipe.zip")
    assert len(walked(tmp_path / "pipe.zip")) == 1


@pytest.mark.parametrize(
    ("end", "problem"),
    [
        ("os.kill(os.getpid(), 11)", "the reader died of signal 11 (Segmentation fault)"),
        ("raise ValueError('a bug')", "the reader failed: ValueError: a bug"),
    ],
)
def test_a_child_that_dies_is_a_row_and_what_it_found_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str, problem: str
) -> None:
    child(tmp_path, monkeypatch, "report([['a.jpg', 'first']])", end)
    first, last = walked(tmp_path / "a.zip")
    assert first.name == "a.jpg"
    assert last.name == ""
    assert last.problem == f"archive cannot be walked: {problem}"


def test_a_child_that_is_killed_for_memory_ends_the_run_and_no_image_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    child(tmp_path, monkeypatch, "os.kill(os.getpid(), 9)")
    killed = iter([3, 4])
    monkeypatch.setattr(walking, "killed_for_memory", lambda: next(killed))
    with pytest.raises(Shortage, match="lack of memory"):
        walked(tmp_path / "a.zip")


def test_ctrl_c_in_the_child_ends_the_parent_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    child(tmp_path, monkeypatch, "os.kill(os.getpid(), 2)")
    with pytest.raises(KeyboardInterrupt):
        walked(tmp_path / "a.zip")


def test_the_child_ends_with_its_parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    child(
        tmp_path,
        monkeypatch,
        "from hambatch.system.probe import end_with_parent",
        "end_with_parent()",
        "report([[str(os.getpid()), 'child']])",
        "import signal",
        "while True: signal.pause()",
    )
    program = (
        "import sys; from pathlib import Path\n"
        "from hambatch.sources.archives import walking\n"
        "from hambatch.sources.folder import Survey\n"
        "walking.WALK = 'child'\n"
        "limits = walking.ArchiveLimits(1)\n"
        "for one in walking.walk_archive(Path('a.zip'), Survey(), limits, nested=False):\n"
        "    print(one.name, flush=True)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert parent.stdout
    pid = int(parent.stdout.readline())
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    wait_for(lambda: "State:\tZ" in status(pid), "the child ends with its parent")


def status(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return "State:\tZ"


def child(folder: Path, monkeypatch: pytest.MonkeyPatch, *body: str) -> None:
    """Have another program walk."""
    lines = "".join(f"    {line}\n" for line in body)
    (folder / "child.py").write_text(
        f"import os\nfrom hambatch.system.probe import report\ndef main():\n{lines}"
    )
    there = os.environ.get("PYTHONPATH", "")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), there]).rstrip(os.pathsep))
    monkeypatch.setattr(walking, "WALK", "child")


def test_kinds_are_told_by_content(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for content, kind in (
        (zip_of([("a.jpg", ONE)]), "zip"),
        (zip_of([]), "zip"),
        (tar_of([("a.jpg", ONE)]), "tar"),
        (tar_of([("in.zip", zip_of([("a.jpg", ONE)]))]), "tar"),
        (b"\x1f\x8b\x08 and so on", "compressed tar"),
        (b"\x28\xb5\x2f\xfd and so on", "compressed tar"),
        (b"BZh91AY", "compressed tar"),
        (ONE, None),
        (ONE + zip_of([("a.jpg", ONE)]), None),
        (b"", None),
        (bytes(2048), None),
        (b"a,b,c\n" * 200, None),
    ):
        path.write_bytes(content)
        assert kind_of_archive(path) == kind, content[:20]
    assert kind_of_archive(tmp_path) is None
    assert kind_of_archive(tmp_path / "gone") is None
