"""A row is kept for the bytes that it is of, and for nothing else."""

import hashlib
from pathlib import Path

import pytest

from hambatch.engines.classes import CLASSES
from hambatch.scoring.journal.rows import RowLog
from hambatch.scoring.update.reuse import Reused, depends_on_bytes_alone, reuse_rows
from hambatch.scoring.worker.losses import failed_row
from hambatch.scoring.worker.process import WorkerLost
from hambatch.scoring.worker.protocol import Touched
from hambatch.sources.entry import Entry
from hambatch.sources.reading import OTHER_SHA256, Bounds, Item
from hambatch.sources.source import find_sources
from hambatch.types import Row


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def scored(image: str, content: bytes, decoder: str = "dali-cpu") -> Row:
    p = tuple(float(k == 0) for k in range(len(CLASSES)))
    return Row(image, "ok", CLASSES[0], p, 1.0, decoder, "openvino-fp32", digest(content))


def reuse(
    tmp_path: Path, files: dict[str, bytes], old: list[Row], *more: Entry
) -> tuple[Reused, dict[str, Row]]:
    folder = tmp_path / "s"
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    entries = sorted([*map(Entry, files), *more], key=lambda entry: entry.name)
    names = [entry.name for entry in entries]
    log = RowLog(tmp_path / "rows", len(entries))
    images = [(entry, "") for entry in entries]
    sources = find_sources([folder])
    found = reuse_rows(images, lambda: iter(old), log, sources, Bounds(), 0, None)
    rows = {name: log.row(k, name) for k, name in enumerate(names) if k in log}
    log.close()
    return found, rows


def test_a_row_follows_its_bytes_to_another_name(tmp_path: Path) -> None:
    files = {"b.jpg": b"1", "c.jpg": b"1", "changed.jpg": b"3", "new.jpg": b"4"}
    old = [scored("a.jpg", b"1"), scored("changed.jpg", b"2")]
    found, rows = reuse(tmp_path, files, old)
    assert rows == {name: scored(name, b"1") for name in ("b.jpg", "c.jpg")}
    assert (found.by_stat, found.by_sha256, found.refused) == (0, 2, 0)


def test_of_rows_of_the_same_bytes_an_image_keeps_its_own(tmp_path: Path) -> None:
    files = {"a.jpg": b"1", "b.jpg": b"1"}
    old = [scored("a.jpg", b"1", "pillow"), scored("b.jpg", b"1", "dali-cpu")]
    _, rows = reuse(tmp_path, files, old)
    assert list(rows.values()) == old


def test_of_a_file_of_frames_each_follows_the_row_of_the_same_frame(tmp_path: Path) -> None:
    frames = [Entry(f"x!/frame-000{k}", cut=1, frame=k) for k in (1, 2, 3)]
    old = [scored(f"y!/frame-000{k}", b"1", f"decoder {k}") for k in (2, 1)]
    found, rows = reuse(tmp_path, {"x": b"1"}, old, *frames)
    decoders = {name: row.decoder for name, row in rows.items()}
    # A whole file of these bytes is another image than any frame.
    assert decoders == {"x!/frame-0001": "decoder 1", "x!/frame-0002": "decoder 2"}
    assert found.by_sha256 == 2


def test_a_row_that_lacked_a_package_is_not_kept() -> None:
    reason = "DICOM needs pydicom: pip install 'hambatch[dicom]'"
    assert not depends_on_bytes_alone(Row("a.dcm", "failed", sha256="a" * 64, reason=reason))


def test_what_cannot_be_read_fails_without_a_worker(tmp_path: Path) -> None:
    more = [
        Entry("bad.zip", problem="the archive ends early"),
        Entry("gone.jpg"),
        Entry("stated.jpg", path="a.jpg", sha256=digest(b"2")),
    ]
    found, rows = reuse(tmp_path, {"a.jpg": b"1"}, [scored("gone.jpg", b"1")], *more)
    del rows["a.jpg"]
    assert {name: (row.reason, row.sha256) for name, row in rows.items()} == {
        "bad.zip": ("the archive ends early", ""),
        "gone.jpg": ("cannot be read: No such file or directory", ""),
        "stated.jpg": (OTHER_SHA256, digest(b"1")),
    }
    assert found.refused == 3


@pytest.mark.parametrize("touched", [Touched("a" * 64), None])
def test_an_image_that_lost_its_decoder_is_tried_again(touched: Touched | None) -> None:
    lost = WorkerLost("crashed (SIGSEGV)", "", crashed=True)
    failure = failed_row(Item(0, Path("a.jpg")), lost, touched, 0).failures[0]
    assert not depends_on_bytes_alone(
        Row("a.jpg", "failed", sha256="a" * 64, reason=failure.reason)
    )


@pytest.mark.parametrize(
    ("reason", "sha256", "is_kept"),
    [
        ("empty file", "a" * 64, True),
        ("too small: 3 x 3, the limit is 28 (--min-side)", "a" * 64, True),
        ("cannot be decoded: image file is truncated", "a" * 64, True),
        ("too large: 90.0 MB, the limit is 64 (--max-megabytes)", "", False),
        ("cannot be scored: openvino-fp32 gave no finite numbers", "a" * 64, False),
        (OTHER_SHA256, "a" * 64, False),
    ],
)
def test_a_failed_row_is_kept_if_its_reason_is_in_the_bytes(
    reason: str, sha256: str, is_kept: bool
) -> None:
    assert depends_on_bytes_alone(Row("a.jpg", "failed", sha256=sha256, reason=reason)) is is_kept
