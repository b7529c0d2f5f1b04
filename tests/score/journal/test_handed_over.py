"""A record tells of hand-overs in every start of its run, not in the last one only."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hambatch.errors import InputError
from hambatch.score.journal.folder import DeviceHistory, history_of, journal_folder, open_journal
from hambatch.score.options import ScoreOptions
from hambatch.score.record import read_record
from hambatch.score.run import score
from hambatch.score.runner import Progressed
from hambatch.sinks.publish import record_path
from hambatch.sources.folder import LeftOut, Survey
from hambatch.sources.listing import store
from tests.backends.tensorrt.host_gpus import host_gpus
from tests.conftest import jpeg_bytes

__all__ = ["host_gpus"]

pytestmark = pytest.mark.usefixtures("host_gpus")

SURVEY = Survey(LeftOut(), {}, LeftOut())


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for k in range(24):
        (folder / f"{k:02d}.jpg").write_bytes(jpeg_bytes(k, 64 + k))
    return folder


def record_of(out: Path) -> dict[str, Any]:
    return json.loads(record_path(out).read_text())


def stop_after(backend: str, out: Path) -> Any:
    """End the run once the journal has a row of that backend."""

    def progress(answers: Iterable[Progressed], total: int, done: int) -> Iterator[Progressed]:
        for answer in answers:
            yield answer
            if backend.encode() in (journal_folder(out) / "rows").read_bytes():
                raise KeyboardInterrupt

    return progress


@pytest.fixture
def stopped(
    images: Path, tiny_engine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A run whose GPU failed, and that was stopped while the CPU did the rest."""
    monkeypatch.setenv("HOST_GPU_FAILS", "0:4")
    out = tmp_path / "rows.csv"
    stop = stop_after("openvino-fp32", out)
    with pytest.raises(KeyboardInterrupt):
        score(images, out, "csv", options(tiny_engine), progress=stop)
    monkeypatch.delenv("HOST_GPU_FAILS")
    return out


def options(engine: Path, **chosen: Any) -> ScoreOptions:
    return ScoreOptions(**{"engine": str(engine), "batch_size": 4, "streams": 1} | chosen)


def test_a_hand_over_is_told_by_a_start_that_came_after_it(
    images: Path, tiny_engine: Path, stopped: Path
) -> None:
    (kept,) = json.loads((journal_folder(stopped) / "run.json").read_text())["devices"][
        "handed_over"
    ]
    score(images, stopped, "csv", options(tiny_engine))
    record = record_of(stopped)
    assert sorted(record["counts"]["backends"]) == ["openvino-fp32", "tensorrt-fp32"]
    assert record["device"]["handed_over"] == [kept]
    assert (kept["from"], kept["to"]) == ("GPU 0", "the CPU")
    assert "Xid 79" in kept["why"]


def test_a_retry_of_failed_rows_keeps_what_the_table_was_made_with(
    images: Path, tiny_engine: Path, stopped: Path
) -> None:
    (images / "03.jpg").write_bytes(b"no picture")
    score(images, stopped, "csv", options(tiny_engine))
    record = record_of(stopped)
    assert "openvino" in record["fingerprint"]["versions"]
    assert len(record["device"]["handed_over"]) == 1
    score(images, stopped, "csv", options(tiny_engine), retry_failed=True)
    assert record_of(stopped)["device"]["handed_over"] == record["device"]["handed_over"]


def test_notes_of_an_earlier_start_are_kept(tmp_path: Path) -> None:
    out = tmp_path / "rows.csv"
    with open_journal(out) as journal:
        store(["a.jpg"], journal.listing_path)
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
def test_a_journal_of_no_history_is_refused(raw: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="its "):
        history_of(raw)
    out = tmp_path / "rows.csv"
    with open_journal(out) as journal:
        listing = store(["a.jpg"], journal.listing_path)
        journal.begin({"listing": {"sha256": listing.sha256}}, SURVEY, "2026-01-01T00:00:00+00:00")
    path = journal_folder(out) / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"devices": raw}))
    with pytest.raises(InputError, match="no journal that this hambatch"), open_journal(out):
        pass


def test_a_record_of_no_history_is_refused(images: Path, tiny_engine: Path, tmp_path: Path) -> None:
    out = tmp_path / "rows.csv"
    score(images, out, "csv", ScoreOptions.on_cpu(engine=str(tiny_engine)))
    record = record_of(out)
    record["device"]["handed_over"] = "GPU 0"
    record_path(out).write_text(json.dumps(record))
    with pytest.raises(InputError, match="its handed_over is 'GPU 0'"):
        read_record(record_path(out))
