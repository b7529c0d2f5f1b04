"""A journal is private, has one holder, and is resumed only if it is whole."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hambatch.errors import InputError
from hambatch.scoring.journal.begun import DeviceHistory
from hambatch.scoring.journal.folder import journal_folder, open_journal
from hambatch.sources.entry import Entry
from hambatch.sources.folder import LeftOut, Survey
from hambatch.sources.listing import store
from hambatch.sources.skipped import Skipped
from hambatch.sources.source import folder_of_images
from hambatch.system.files import as_json

SURVEY = Survey(
    LeftOut(2, ["a.txt"]),
    {"locked%FF": "Permission denied"},
    LeftOut(),
    {"@eaDir": Skipped("thumbnails", folders=1, files=3)},
)


def begun(out: Path, names: tuple[str, ...] = ("a.jpg", "b.jpg")) -> None:
    with open_journal(out) as journal:
        listing = store(map(Entry, names), journal.listing_path, folder_of_images(out.parent))
        about = {"listing": {"sha256": listing.sha256, "images": listing.count}}
        journal.begin(about, SURVEY, "2026-01-01T00:00:00+00:00")


def test_what_began_is_found_again_with_its_listing_and_survey(tmp_path: Path) -> None:
    out = tmp_path / "preds.csv"
    begun(out)
    with open_journal(out) as journal:
        assert journal.begun
        listing = journal.listing()
        assert (list(listing), listing.survey) == (["a.jpg", "b.jpg"], SURVEY)
        journal.done()
    assert list(tmp_path.iterdir()) == []


def test_what_has_not_begun_leaves_nothing(tmp_path: Path) -> None:
    with open_journal(tmp_path / "preds.csv") as journal:
        journal.listing_path.write_text("half a listing")
    assert list(tmp_path.iterdir()) == []


def test_a_second_run_into_one_output_is_refused_and_names_the_first(tmp_path: Path) -> None:
    out = tmp_path / "preds.csv"
    with open_journal(out):
        code = (
            "import sys\nfrom pathlib import Path\n"
            "from hambatch.scoring.journal.folder import open_journal\n"
            "with open_journal(Path(sys.argv[1])): pass"
        )
        second = subprocess.run(
            [sys.executable, "-c", code, out], capture_output=True, text=True, check=False
        )
    assert f"another run is writing {out} (process {os.getpid()})" in second.stderr
    with open_journal(out) as journal:
        assert not journal.begun


@pytest.mark.parametrize("umask", [0o000, 0o022])
def test_no_other_user_may_read_a_journal(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        begun(tmp_path / "preds.csv")
    finally:
        os.umask(before)
    assert journal_folder(tmp_path / "preds.csv").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"format": 9}', '{"format": 1}'])
def test_a_damaged_journal_is_refused_and_can_be_forgotten(tmp_path: Path, content: str) -> None:
    out = tmp_path / "preds.csv"
    begun(out)
    (journal_folder(out) / "run.json").write_text(content)
    with pytest.raises(InputError, match="--overwrite"), open_journal(out):
        pass
    assert journal_folder(out).is_dir()
    with open_journal(out, forgotten=True) as journal:
        assert not journal.begun


def test_what_is_left_aside_stays_until_a_new_run_begins(tmp_path: Path) -> None:
    out = tmp_path / "preds.csv"
    begun(out)
    with open_journal(out, forgotten=True):
        pass
    with open_journal(out) as journal:
        assert journal.begun
        journal.clear()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_somebody_else_is_neither_used_nor_touched(tmp_path: Path) -> None:
    folder = journal_folder(tmp_path / "preds.csv")
    folder.mkdir(mode=0o700)
    (folder / "notes.txt").write_text("precious")
    with (
        pytest.raises(InputError, match=r"holds notes\.txt, which is no part of a journal"),
        open_journal(tmp_path / "preds.csv"),
    ):
        pass
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]


def test_what_a_kill_left_of_temporary_files_goes_too(tmp_path: Path) -> None:
    out = tmp_path / "preds.csv"
    begun(out)
    folder = journal_folder(out)
    for name in ("table.tmp", "record.tmp", ".listing.77.tmp", ".listing.77.tmp.sort"):
        (folder / name).touch()
    (folder / "hambatch-x").mkdir()
    (folder / "hambatch-x" / "sentinel_0.jpg").touch()
    with open_journal(out) as journal:
        assert sorted(path.name for path in folder.iterdir()) == ["listing", "lock", "run.json"]
        journal.done()
    assert list(tmp_path.iterdir()) == []


def test_a_listing_that_was_changed_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "preds.csv"
    begun(out)
    (journal_folder(out) / "listing").write_text("b.jpg\na.jpg\n")
    with (
        open_journal(out) as journal,
        pytest.raises(InputError, match="not the listing that the run began with"),
    ):
        journal.listing()


def test_a_folder_that_cannot_be_written_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for out in (tmp_path / "nowhere" / "p.csv", tmp_path / "file" / "p.csv"):
        with pytest.raises(InputError, match="cannot write"), open_journal(out):
            pass


def test_notes_of_an_earlier_start_are_kept(tmp_path: Path) -> None:
    out = tmp_path / "rows.csv"
    with open_journal(out) as journal:
        store([Entry("a.jpg")], journal.listing_path, folder_of_images(tmp_path))
        journal.begin({"listing": {"sha256": "ab"}}, SURVEY, "2026-01-01T00:00:00+00:00")
        journal.note_devices(DeviceHistory({"0": "requests hold 32 images"}))
    for _ in range(2):
        with open_journal(out) as journal:
            journal.note_devices(DeviceHistory({"1": "requests hold 16 images"}))
    with open_journal(out) as journal:
        assert journal.devices.notes == {
            "0": "requests hold 32 images",
            "1": "requests hold 16 images",
        }
        journal.clear()
        assert journal.devices == DeviceHistory()


def test_the_histories_of_two_starts_add_up() -> None:
    first = DeviceHistory({"0": "half"}, [{"from": "GPU 1", "to": "GPU 0", "why": "Xid 79"}])
    later = DeviceHistory({"0": "quarter"}, [{"from": "GPU 0", "to": "the CPU", "why": "Xid 48"}])
    both = first.then(later)
    assert both.notes == {"0": "quarter"}
    assert [handed["from"] for handed in both.handed_over] == ["GPU 1", "GPU 0"]
    assert len(first.handed_over) == 1


@pytest.mark.parametrize(
    "raw", [[], {"notes": {"0": 1}}, {"handed_over": {}}, {"handed_over": [{"from": None}]}]
)
def test_a_journal_whose_devices_are_damaged_is_refused(raw: Any, tmp_path: Path) -> None:
    out = tmp_path / "preds.csv"
    begun(out)
    path = journal_folder(out) / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"devices": raw}))
    with pytest.raises(InputError, match=r"devices.* is .*, wanted "), open_journal(out):
        pass


def test_a_journal_without_a_checksum_is_called_that_of_an_earlier_version(tmp_path: Path) -> None:
    out = tmp_path / "preds.csv"
    begun(out)
    path = journal_folder(out) / "run.json"
    found = json.loads(path.read_text())
    assert [*found][-1] == "sha256"
    del found["sha256"]
    path.write_text(as_json(found))
    said = r"an earlier version of hambatch began it: .* rules 1 of decoding"
    with pytest.raises(InputError, match=said), open_journal(out):
        pass
