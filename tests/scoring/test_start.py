"""A start is fresh, resumes a run that was stopped in any way, or retries what failed."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from hambatch.errors import HambatchError, InputError
from hambatch.scoring import start as starting
from hambatch.scoring.journal.folder import journal_folder
from hambatch.scoring.options import ScoreOptions
from hambatch.scoring.run import Outcome, score
from hambatch.scoring.runner import Progressed
from hambatch.sinks.formats import open_table, read_rows
from hambatch.sinks.publish import record_path
from tests.conftest import jpeg_bytes
from tests.faults.holding import Hold
from tests.waiting import lines_in, wait_for

IMAGES = 160


def options(engine: Path, **changes: object) -> ScoreOptions:
    return ScoreOptions(engine=str(engine), batch_size=4, **changes)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def all_images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Enough images for a run to be stopped in the middle; for tests that only read them."""
    folder = tmp_path_factory.mktemp("many") / "images"
    folder.mkdir()
    for k in range(IMAGES):
        size = {"width": 64 + 2 * k, "height": 72 if k < 120 else 340}
        (folder / f"{k:05d}.jpg").write_bytes(jpeg_bytes(k % 40, **size))
    (folder / "empty.jpg").touch()
    return folder


@pytest.fixture(scope="module")
def whole(all_images: Path, tiny_engine: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Their table, by a run that nothing stopped."""
    out = tmp_path_factory.mktemp("whole") / "whole.csv"
    score([all_images], out, "csv", options(tiny_engine))
    return out


@pytest.fixture
def many(all_images: Path, tmp_path: Path) -> Path:
    """A copy of the images, to change."""
    return Path(shutil.copytree(all_images, tmp_path / "many"))


def interrupted(answers: Iterable[Progressed], total: int, done: int) -> Iterator[Progressed]:
    """Stop a run in this process when it has answered some images."""
    answered = 0
    for one in answers:
        yield one
        answered += one.answered
        if answered > 40:
            raise KeyboardInterrupt


@pytest.fixture(scope="module")
def stopped(all_images: Path, tiny_engine: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of a run that was stopped: its journal is there, its table is not."""
    out = tmp_path_factory.mktemp("stopped") / "p.csv"
    with pytest.raises(KeyboardInterrupt):
        score([all_images], out, "csv", options(tiny_engine), progress=interrupted)
    assert (journal_folder(out) / "rows").stat().st_size
    return out


@pytest.fixture
def begun(stopped: Path, tmp_path: Path) -> Path:
    """The same, to resume."""
    out = tmp_path / "p.csv"
    shutil.copytree(journal_folder(stopped), journal_folder(out))
    return out


def start(
    source: Path, out: Path, engine: Path, hold: Hold | None = None, limit_bytes: int | None = None
) -> subprocess.Popen[str]:
    def confine() -> None:
        if limit_bytes:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes))

    named = ["score", source, "--out", out, "--engine", engine, "--batch-size", 4]
    command = [sys.executable, "-m", "hambatch", *map(str, named)]
    environment = hold.environment if hold else None
    return subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, preexec_fn=confine, env=environment
    )


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_run_ended_by_a_signal_goes_on_to_the_same_bytes(
    all_images: Path,
    whole: Path,
    tiny_engine: Path,
    tmp_path: Path,
    number: signal.Signals,
) -> None:
    out, hold = tmp_path / "p.csv", Hold(tmp_path / "hold", batch=13)
    rows = journal_folder(out) / "rows"
    with start(all_images, out, tiny_engine, hold) as run:
        wait_for(lambda: hold.is_held and lines_in(rows) >= 20, "20 rows, the worker held", run)
        run.send_signal(number)
        assert run.stderr
        if number != signal.SIGKILL:
            wait_for(lambda: "stopping" in run.stderr.readline(), "the run stops", run)
        hold.let_go()
        said = run.stderr.read()
    assert not out.exists()
    kept = lines_in(rows)
    assert 20 <= kept < IMAGES
    if number != signal.SIGKILL:
        assert run.returncode == 130
        assert f"{kept} of {IMAGES + 1} images are done and kept" in said
    outcome = score([all_images], out, "csv", options(tiny_engine, threads=1, readers=1))
    assert outcome.kept == kept
    assert out.read_bytes() == whole.read_bytes()
    assert not journal_folder(out).exists()


def test_what_would_change_a_row_is_refused_and_named(
    all_images: Path, tiny_engine: Path, begun: Path, tmp_path: Path
) -> None:
    before = (journal_folder(begun) / "rows").read_bytes()
    with pytest.raises(InputError, match=r"max_megapixels was 100\.0, is 5"):
        score([all_images], begun, "csv", options(tiny_engine, max_megapixels=5))
    with pytest.raises(InputError, match="engine name was tiny, is three-sources-resnet50"):
        score([all_images], begun, "csv", ScoreOptions())
    (tmp_path / "other").mkdir()
    with pytest.raises(InputError, match="listing source was"):
        score([tmp_path / "other"], begun, "csv", options(tiny_engine))
    assert (journal_folder(begun) / "rows").read_bytes() == before
    score([all_images], begun, "csv", options(tiny_engine, max_megapixels=5), overwrite=True)
    assert len(begun.read_text().splitlines()) == 1 + IMAGES + 1


def test_what_came_and_went_since_the_run_began_is_counted(
    many: Path, tiny_engine: Path, tmp_path: Path
) -> None:
    out = tmp_path / "p.csv"
    with pytest.raises(KeyboardInterrupt):
        score([many], out, "csv", options(tiny_engine), progress=interrupted)
    (many / "00001x.jpg").write_bytes(jpeg_bytes(1))
    (many / "00159.jpg").unlink()
    outcome = score([many], out, "csv", options(tiny_engine))
    assert (outcome.changes.added, outcome.changes.gone) == (1, 1)
    rows = {row.image: row for row in read_rows(out, "csv")}
    assert "00001x.jpg" not in rows
    assert rows["00159.jpg"].reason == "cannot be read: No such file or directory"


def test_a_full_disk_is_one_error_and_loses_nothing_finished(
    all_images: Path, whole: Path, tiny_engine: Path, tmp_path: Path
) -> None:
    out = tmp_path / "p.csv"
    # Room for each of the sentinels that are drawn, and not for all rows.
    with start(all_images, out, tiny_engine, limit_bytes=20_000) as run:
        assert run.stderr
        said = run.stderr.read()
    assert run.returncode == 1
    assert "cannot write" in said
    assert "Traceback" not in said
    assert not out.exists()
    outcome = score([all_images], out, "csv", options(tiny_engine))
    assert 20 < outcome.kept < IMAGES
    assert f"{outcome.kept} of {IMAGES + 1} images are done and kept" in said
    assert out.read_bytes() == whole.read_bytes()


def test_a_run_that_dies_while_it_publishes_loses_nothing_and_scores_nothing_again(
    all_images: Path,
    whole: Path,
    tiny_engine: Path,
    begun: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real, seen = os.replace, []

    def die(source: Path, target: Path, **folders: int) -> None:
        if target in (begun, record_path(begun)):
            seen.append(target)
            # At once; and the next start, after one of the two was renamed.
            if len(seen) in (1, 3):
                raise OSError(28, "No space left on device")
        real(source, target, **folders)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", die)
        for renamed_before in (False, True):
            with pytest.raises(InputError, match="No space left"):
                score([all_images], begun, "csv", options(tiny_engine))
            assert begun.exists() == renamed_before
    assert len(seen) == 3
    outcome = score([all_images], begun, "csv", options(tiny_engine))
    assert outcome.kept == IMAGES + 1
    assert begun.read_bytes() == whole.read_bytes()
    assert json.loads(record_path(begun).read_text())["counts"]["images"] == IMAGES + 1


def test_a_run_that_could_not_begin_to_score_does_not_bind_the_next_one(
    images: Path, clean: Path, tiny_engine: Path, tmp_path: Path
) -> None:
    out = tmp_path / "p.csv"
    chosen = {"engine": str(tiny_engine), "precision": "fp32"}
    with pytest.raises(HambatchError, match=r"model\.weights\.h5"):
        score([images], out, "csv", ScoreOptions(backend="keras", **chosen))
    assert not journal_folder(out).exists()
    score([images], out, "csv", ScoreOptions(backend="openvino", **chosen))
    assert out.read_bytes() == clean.read_bytes()


def test_a_broken_mount_stops_the_run_and_mends_when_it_is_back(
    many: Path, whole: Path, tiny_engine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, away = tmp_path / "p.csv", tmp_path / "away"
    # Listed, and then the files are gone: as when a network folder is lost.
    with monkeypatch.context() as patch:
        _when_listed(patch, lambda: many.rename(away))
        with pytest.raises(InputError, match=r"more than --fail-over 5 %: .* x cannot be read"):
            score([many], out, "csv", options(tiny_engine, fail_over=5.0))
    away.rename(many)
    outcome = score([many], out, "csv", options(tiny_engine, fail_over=5.0))
    assert outcome.tally.failed == 1
    assert out.read_bytes() == whole.read_bytes()


def _when_listed(patch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    real = starting.list_sources

    def list_then_act(*arguments: object, **named: object) -> object:
        listing = real(*arguments, **named)  # type: ignore[arg-type]
        act()
        return listing

    patch.setattr(starting, "list_sources", list_then_act)


@pytest.fixture(scope="module")
def holed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an empty image among good ones."""
    folder = tmp_path_factory.mktemp("holed") / "images"
    folder.mkdir()
    for k in range(6):
        (folder / f"{k}.jpg").write_bytes(jpeg_bytes(k))
    (folder / "empty.jpg").touch()
    return folder


HIGH = {"max_megabytes": 64.0, "max_megapixels": 100.0, "decode_seconds": 30.0}


@pytest.fixture(scope="module")
def finished(holed: Path, tiny_engine: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("finished") / "p.csv"
    run(holed, out, tiny_engine, salvage_truncated=True)
    return out


@pytest.fixture
def table(finished: Path, tmp_path: Path) -> Path:
    """A table of that folder with one failed row, and its record."""
    shutil.copy(record_path(finished), record_path(tmp_path / "p.csv"))
    return Path(shutil.copy(finished, tmp_path / "p.csv"))


def run(
    folder: Path, out: Path, engine: Path, *, kind: str = "csv", again: bool = False, **more: object
) -> Outcome:
    return score([folder], out, kind, options(engine, **more), retry_failed=again)


def test_only_failed_rows_are_scored_again(
    many: Path, whole: Path, tiny_engine: Path, tmp_path: Path
) -> None:
    out = tmp_path / "p.csv"
    content = (many / "00007.jpg").read_bytes()
    (many / "00007.jpg").write_bytes(content[:500])
    (many / "00008.jpg").rename(tmp_path / "away.jpg")
    (many / "00008.jpg").symlink_to("away")
    assert score([many], out, "csv", options(tiny_engine)).tally.failed == 3
    (many / "00007.jpg").write_bytes(content)
    (tmp_path / "away.jpg").replace(many / "00008.jpg")
    # A change to a scored file would show if it were read again.
    (many / "00009.jpg").write_bytes(b"junk")
    outcome = score([many], out, "csv", options(tiny_engine), retry_failed=True)
    assert (outcome.kept, outcome.tally.failed) == (IMAGES - 2, 1)
    assert out.read_bytes() == whole.read_bytes()


@pytest.mark.parametrize("kind", ["jsonl", "parquet", "xlsx"])
def test_a_retry_may_lift_a_limit_in_other_formats_too(
    all_images: Path, whole: Path, tiny_engine: Path, tmp_path: Path, kind: str
) -> None:
    out, wanted = tmp_path / f"p.{kind}", tmp_path / f"wanted.{kind}"
    low = options(tiny_engine, max_megapixels=0.1)
    assert score([all_images], out, "auto", low).tally.failed > 30
    outcome = score([all_images], out, "auto", options(tiny_engine), retry_failed=True)
    assert outcome.tally.failed == 1
    with open_table(wanted, kind) as write:
        for row in read_rows(whole, "csv"):
            write(row)
    assert out.read_bytes() == wanted.read_bytes()


def test_a_stricter_limit_is_refused_and_a_looser_one_is_not(
    holed: Path, tiny_engine: Path, table: Path
) -> None:
    before = table.read_bytes()
    lower: dict[str, object] = {name: high - 0.5 for name, high in HIGH.items()}
    for name, value in [*lower.items(), ("salvage_truncated", False)]:
        with pytest.raises(InputError) as refused:
            run(holed, table, tiny_engine, again=True, **{"salvage_truncated": True, name: value})
        option = f"--{name.replace('_', '-')}"
        typed = f"{option} {HIGH[name]:g} or higher" if name in HIGH else option
        for words in ("was made with other limits", f"{name} was", f"give {typed}"):
            assert words in str(refused.value)
        assert table.read_bytes() == before
        assert not journal_folder(table).exists()
    looser = {name: 2 * high for name, high in HIGH.items()}
    again = run(holed, table, tiny_engine, again=True, salvage_truncated=True, **looser)
    assert again.tally.failed == 1
    assert json.loads(record_path(table).read_text())["options"].items() > looser.items()


def test_a_table_of_other_settings_or_a_changed_one_is_not_retried(
    holed: Path, tiny_engine: Path, table: Path, tmp_path: Path
) -> None:
    salvage = {"salvage_truncated": True}
    with pytest.raises(InputError, match=r"run\.json cannot be used"):
        run(holed, tmp_path / "none.csv", tiny_engine, again=True)
    with pytest.raises(InputError, match="engine name was tiny"):
        score([holed], table, "csv", ScoreOptions(**salvage), retry_failed=True)
    with pytest.raises(InputError, match="listing follow_symlinks was False, is True"):
        run(holed, table, tiny_engine, again=True, follow_symlinks=True, **salvage)
    before = table.read_bytes()
    table.write_bytes(before.replace(b",ok,", b",ok ,", 1))
    with pytest.raises(InputError, match="is not the table that"):
        run(holed, table, tiny_engine, again=True, **salvage)
    assert not journal_folder(table).exists()


def test_what_came_and_went_since_the_first_run_is_counted_and_the_table_itself_is_not(
    holed: Path, tiny_engine: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(holed, tmp_path / "images"))
    out = folder / "preds"
    run(folder, out, tiny_engine)
    for k in range(3):
        (folder / f"new_{k}.jpg").write_bytes(jpeg_bytes(k))
    (folder / "5.jpg").unlink()
    changes = run(folder, out, tiny_engine, again=True).changes
    assert (changes.added, changes.gone) == (3, 1)
    recorded = json.loads(record_path(out).read_text())["changed_since_begun"]
    assert recorded.items() >= {"added": 3, "gone": 1, "changed": 0, "problem": ""}.items()
    assert "new_0.jpg" not in out.read_text()


def test_a_submission_cannot_be_retried_whatever_it_is_called(
    holed: Path, tiny_engine: Path, tmp_path: Path
) -> None:
    out = tmp_path / "p.csv"
    run(holed, out, tiny_engine, kind="isic")
    for kind in ("isic", "csv"):
        with pytest.raises(InputError, match="an ISIC submission, which can be neither verified"):
            run(holed, out, tiny_engine, kind=kind, again=True)
    assert out.exists()
    assert not journal_folder(out).exists()


def test_a_kill_after_the_table_was_written_does_not_hide_what_a_retry_is_for(
    holed: Path, tiny_engine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, out = Path(shutil.copytree(holed, tmp_path / "images")), tmp_path / "preds.csv"
    (folder / "mended.jpg").write_bytes(b"not yet")
    with monkeypatch.context() as patch:
        patch.setattr("hambatch.scoring.journal.folder.Journal.done", lambda journal: None)
        failed = run(folder, out, tiny_engine).tally.failed
    assert journal_folder(out).exists()
    (folder / "mended.jpg").write_bytes(jpeg_bytes(7))
    outcome = run(folder, out, tiny_engine, again=True)
    assert outcome.tally.failed == failed - 1
    assert not journal_folder(out).exists()
