"""Stopped in any way, the same command goes on, and the table is the same byte for byte."""

import csv
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hambatch.errors import HambatchError, InputError
from hambatch.score.journal.folder import journal_folder
from hambatch.score.options import ScoreOptions
from hambatch.score.run import score
from hambatch.sinks.publish import record_path
from tests.conftest import jpeg_bytes

IMAGES = 400


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """Enough images for a run to be met in the middle of."""
    folder = tmp_path / "many"
    folder.mkdir()
    for k in range(IMAGES):
        size = {"width": 64 + k, "height": 72 if k < 300 else 320}
        (folder / f"{k:05d}.jpg").write_bytes(jpeg_bytes(k % 40, **size))
    (folder / "empty.jpg").touch()
    return folder


@pytest.fixture
def slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every batch take 30 ms, so that no signal comes too late."""
    place = tmp_path / "slow"
    place.mkdir()
    (place / "sitecustomize.py").write_text(
        "import time\nfrom hambatch.pipelines.scoring import ScoringPipeline as P\n"
        "real = P._finish\n"
        "def finish(*a, **k):\n    time.sleep(0.03)\n    return real(*a, **k)\n"
        "P._finish = finish\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(place))


def options(engine: Path, **changes: object) -> ScoreOptions:
    return ScoreOptions(engine=str(engine), batch_size=8, **changes)  # type: ignore[arg-type]


def command(source: Path, out: Path, engine: Path, *more: str) -> list[str]:
    named = ["score", source, "--out", out, "--engine", engine, "--batch-size", 8]
    return [sys.executable, "-m", "hambatch", *map(str, named), *more]


def start(*arguments: object, limit_bytes: int | None = None) -> subprocess.Popen[str]:
    def confine() -> None:
        if limit_bytes:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes))

    return subprocess.Popen(
        command(*arguments),  # type: ignore[arg-type]
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=confine,
    )


def wait_for_rows(out: Path, count: int) -> None:
    rows = journal_folder(out) / "rows"
    until = time.monotonic() + 30
    while not rows.exists() or rows.read_bytes().count(b"\n") < count:
        assert time.monotonic() < until, "the run wrote no rows"
        time.sleep(0.005)


def read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


@pytest.mark.usefixtures("slow")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_run_ended_by_a_signal_goes_on_to_the_same_bytes(
    many: Path, tiny_engine: Path, tmp_path: Path, number: signal.Signals
) -> None:
    whole, out = tmp_path / "whole.csv", tmp_path / "p.csv"
    score(many, whole, "csv", options(tiny_engine))
    run = start(many, out, tiny_engine)
    wait_for_rows(out, 40)
    run.send_signal(number)
    _, said = run.communicate(timeout=30)
    assert not out.exists()
    kept = (journal_folder(out) / "rows").read_bytes().count(b"\n")
    assert 40 <= kept < IMAGES
    if number != signal.SIGKILL:
        assert run.returncode == 130
        assert f"{kept} of {IMAGES + 1} images are done and kept" in said
    outcome = score(many, out, "csv", options(tiny_engine, threads=1, readers=1))
    assert outcome.kept == kept
    assert out.read_bytes() == whole.read_bytes()
    assert not journal_folder(out).exists()


def interrupted(many: Path, engine: Path, out: Path) -> None:
    run = start(many, out, engine)
    wait_for_rows(out, 40)
    run.kill()
    run.communicate(timeout=30)


@pytest.mark.usefixtures("slow")
def test_what_would_change_a_row_is_refused_and_named(
    many: Path, tiny_engine: Path, tmp_path: Path
) -> None:
    out = tmp_path / "p.csv"
    interrupted(many, tiny_engine, out)
    before = (journal_folder(out) / "rows").read_bytes()
    with pytest.raises(InputError, match=r"max_megapixels was 100\.0, is 5"):
        score(many, out, "csv", options(tiny_engine, max_megapixels=5))
    with pytest.raises(InputError, match="engine name was tiny, is ham10000-resnet50"):
        score(many, out, "csv", ScoreOptions())
    (many.parent / "other").mkdir()
    with pytest.raises(InputError, match="listing source was"):
        score(many.parent / "other", out, "csv", options(tiny_engine))
    assert (journal_folder(out) / "rows").read_bytes() == before
    score(many, out, "csv", options(tiny_engine, max_megapixels=5), overwrite=True)
    assert len(read_rows(out)) == IMAGES + 1


@pytest.mark.usefixtures("slow")
def test_what_came_and_went_since_the_run_began_is_told(
    many: Path, tiny_engine: Path, tmp_path: Path
) -> None:
    out = tmp_path / "p.csv"
    interrupted(many, tiny_engine, out)
    (many / "00001x.jpg").write_bytes(jpeg_bytes(1))
    (many / "00399.jpg").unlink()
    outcome = score(many, out, "csv", options(tiny_engine))
    assert (outcome.changes.added, outcome.changes.gone) == (1, 1)
    rows = {row["image"]: row for row in read_rows(out)}
    assert "00001x.jpg" not in rows
    assert rows["00399.jpg"]["reason"] == "cannot be read: No such file or directory"
    assert len(rows) == IMAGES + 1


def test_a_full_disk_is_one_error_and_loses_nothing_finished(
    many: Path, tiny_engine: Path, tmp_path: Path
) -> None:
    whole, out = tmp_path / "whole.csv", tmp_path / "p.csv"
    score(many, whole, "csv", options(tiny_engine))
    run = start(many, out, tiny_engine, limit_bytes=40_000)
    _, said = run.communicate(timeout=60)
    assert run.returncode == 1
    assert "cannot write" in said
    assert "Traceback" not in said
    assert not out.exists()
    outcome = score(many, out, "csv", options(tiny_engine))
    assert 50 < outcome.kept < IMAGES
    assert f"{outcome.kept} of {IMAGES + 1} images are done and kept" in said
    assert out.read_bytes() == whole.read_bytes()


@pytest.mark.parametrize("renamed_before", [0, 1])
def test_a_run_that_dies_while_it_publishes_loses_nothing_and_scores_nothing_again(
    many: Path,
    tiny_engine: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    renamed_before: int,
) -> None:
    whole, out = tmp_path / "whole.csv", tmp_path / "p.csv"
    score(many, whole, "csv", options(tiny_engine))
    real, seen = os.replace, []

    def die(source: Path, target: Path) -> None:
        if target in (out, record_path(out)):
            seen.append(target)
            if len(seen) > renamed_before:
                raise OSError(28, "No space left on device")
        real(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", die)
        with pytest.raises(InputError, match="No space left"):
            score(many, out, "csv", options(tiny_engine))
    assert out.exists() == bool(renamed_before)
    outcome = score(many, out, "csv", options(tiny_engine))
    assert outcome.kept == IMAGES + 1
    assert out.read_bytes() == whole.read_bytes()
    assert json.loads(record_path(out).read_text())["counts"]["images"] == IMAGES + 1


def test_only_failed_rows_are_scored_again(many: Path, tiny_engine: Path, tmp_path: Path) -> None:
    out = tmp_path / "p.csv"
    content = (many / "00007.jpg").read_bytes()
    score(many, tmp_path / "before.csv", "csv", options(tiny_engine))
    (many / "00007.jpg").write_bytes(content[:500])
    (many / "00008.jpg").rename(tmp_path / "away.jpg")
    (many / "00008.jpg").symlink_to("away")
    assert score(many, out, "csv", options(tiny_engine)).tally.failed == 3
    (many / "00007.jpg").write_bytes(content)
    (tmp_path / "away.jpg").replace(many / "00008.jpg")
    # A change to a scored file would show if it were read again.
    (many / "00009.jpg").write_bytes(b"junk")
    outcome = score(many, out, "csv", options(tiny_engine), retry_failed=True)
    assert (outcome.kept, outcome.tally.failed) == (IMAGES - 2, 1)
    assert out.read_bytes() == (tmp_path / "before.csv").read_bytes()


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_a_retry_may_lift_a_limit_in_every_format(
    many: Path, tiny_engine: Path, tmp_path: Path, suffix: str
) -> None:
    out = tmp_path / f"p{suffix}"
    low = options(tiny_engine, max_megapixels=0.1)
    assert score(many, out, "auto", low).tally.failed > 80
    outcome = score(many, out, "auto", options(tiny_engine), retry_failed=True)
    assert outcome.tally.failed == 1
    whole = tmp_path / f"whole{suffix}"
    score(many, whole, "auto", options(tiny_engine))
    assert out.read_bytes() == whole.read_bytes()


def test_a_table_that_is_not_the_recorded_one_is_not_retried(
    image_folder: Path, tiny_engine: Path, tmp_path: Path
) -> None:
    out = tmp_path / "p.csv"
    with pytest.raises(InputError, match=r"run\.json cannot be used"):
        score(image_folder, out, "csv", options(tiny_engine), retry_failed=True)
    score(image_folder, out, "csv", options(tiny_engine))
    with pytest.raises(InputError, match="engine name was tiny"):
        score(image_folder, out, "csv", ScoreOptions(), retry_failed=True)
    before = out.read_bytes()
    out.write_bytes(before.replace(b",ok,", b",ok ,", 1))
    with pytest.raises(InputError, match="is not the table that"):
        score(image_folder, out, "csv", options(tiny_engine), retry_failed=True)
    assert not journal_folder(out).exists()


def test_a_run_that_could_not_begin_to_score_does_not_bind_the_next_one(
    image_folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "p.csv"
    with pytest.raises(HambatchError, match=r"model\.weights\.h5"):  # the wheel has no such file
        score(image_folder, out, "csv", ScoreOptions(backend="keras"))
    assert not journal_folder(out).exists()
    score(image_folder, out, "csv", ScoreOptions(backend="openvino"))
    assert out.exists()


def test_a_broken_mount_stops_the_run_and_mends_when_it_is_back(
    many: Path, tiny_engine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, whole = tmp_path / "p.csv", tmp_path / "whole.csv"
    score(many, whole, "csv", options(tiny_engine))
    # Listed, and then the files are gone: as when a network folder is lost.
    away = tmp_path / "away"
    gone = _when_listed(monkeypatch, lambda: many.rename(away))
    with pytest.raises(InputError, match=r"more than --fail-over 5 %: .* x cannot be read"):
        score(many, out, "csv", options(tiny_engine, fail_over=5.0))
    gone.undo()
    away.rename(many)
    outcome = score(many, out, "csv", options(tiny_engine, fail_over=5.0))
    assert outcome.tally.failed == 1
    assert out.read_bytes() == whole.read_bytes()


def _when_listed(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> pytest.MonkeyPatch:
    from hambatch.score import start as beginning

    real = beginning.list_images

    def list_then_act(*arguments: object, **named: object) -> object:
        listing = real(*arguments, **named)  # type: ignore[arg-type]
        act()
        return listing

    monkeypatch.setattr(beginning, "list_images", list_then_act)
    return monkeypatch


def test_a_share_of_failures_that_is_allowed_does_not_stop_a_run(
    image_folder: Path, tiny_engine: Path, tmp_path: Path
) -> None:
    for k in range(6):
        (image_folder / f"empty_{k}.jpg").touch()
    limit = options(tiny_engine, fail_over=20.0)
    assert score(image_folder, tmp_path / "p.csv", "csv", limit).tally.failed == 6
    (image_folder / "empty_6.jpg").touch()
    (image_folder / "empty_7.jpg").touch()
    with pytest.raises(InputError, match="8 of 32 images failed"):
        score(image_folder, tmp_path / "q.csv", "csv", limit)
    assert not (tmp_path / "q.csv").exists()


def test_files_have_the_rights_that_the_umask_gives(
    image_folder: Path, tiny_engine: Path, tmp_path: Path
) -> None:
    before = os.umask(0o027)
    try:
        score(image_folder, tmp_path / "p.csv", "csv", options(tiny_engine))
    finally:
        os.umask(before)
    for path in (tmp_path / "p.csv", record_path(tmp_path / "p.csv")):
        assert path.stat().st_mode & 0o777 == 0o640
