"""`--retry-failed` keeps rows only if they would come out the same now."""

import json
from pathlib import Path

import pytest

from hambatch.errors import InputError
from hambatch.score.journal.folder import journal_folder
from hambatch.score.options import ScoreOptions
from hambatch.score.run import Outcome, score
from hambatch.sinks.publish import record_path
from tests.conftest import jpeg_bytes


@pytest.fixture
def folder(image_folder: Path) -> Path:
    (image_folder / "empty.jpg").touch()
    return image_folder


def run(
    folder: Path, out: Path, engine: Path, *, kind: str = "csv", again: bool = False, **more: object
) -> Outcome:
    options = ScoreOptions(engine=str(engine), **more)  # type: ignore[arg-type]
    return score(folder, out, kind, options, retry_failed=again)


@pytest.mark.parametrize(
    ("option", "old", "lower", "typed"),
    [
        ("max_megabytes", 64.0, 8.0, "--max-megabytes 64 or higher"),
        ("max_megapixels", 100.0, 99.5, "--max-megapixels 100 or higher"),
        ("decode_seconds", 30.0, 20.0, "--decode-seconds 30 or higher"),
        ("salvage_truncated", True, False, "--salvage-truncated"),
    ],
)
def test_a_stricter_limit_is_refused_and_a_looser_one_is_not(
    folder: Path,
    tiny_engine: Path,
    tmp_path: Path,
    option: str,
    old: object,
    lower: object,
    typed: str,
) -> None:
    out = tmp_path / "p.csv"
    run(folder, out, tiny_engine, **{option: old})
    before = out.read_bytes()
    with pytest.raises(InputError) as refused:
        run(folder, out, tiny_engine, again=True, **{option: lower})
    for words in ("was made with other limits", f"{option} was", f"give {typed}"):
        assert words in str(refused.value)
    assert out.read_bytes() == before
    assert not journal_folder(out).exists()
    looser = True if isinstance(old, bool) else old * 2  # type: ignore[operator]
    assert run(folder, out, tiny_engine, again=True, **{option: looser}).tally.failed == 1
    assert json.loads(record_path(out).read_text())["options"][option] == looser


def test_following_links_is_another_listing(
    folder: Path, tiny_engine: Path, tmp_path: Path
) -> None:
    out = tmp_path / "p.csv"
    run(folder, out, tiny_engine)
    with pytest.raises(InputError, match="listing follow_symlinks was False, is True"):
        run(folder, out, tiny_engine, again=True, follow_symlinks=True)


def test_what_came_and_went_since_the_first_run_is_told(
    folder: Path, tiny_engine: Path, tmp_path: Path
) -> None:
    out = tmp_path / "p.csv"
    run(folder, out, tiny_engine)
    for k in range(3):
        (folder / f"new_{k}.jpg").write_bytes(jpeg_bytes(k))
    (folder / "last.png").unlink()
    changes = run(folder, out, tiny_engine, again=True).changes
    assert (changes.added, changes.gone) == (3, 1)
    recorded = json.loads(record_path(out).read_text())["changed_since_begun"]
    assert recorded == {"added": 3, "gone": 1}
    assert "new_0.jpg" not in out.read_text()


def test_a_table_within_its_folder_did_not_come_since(folder: Path, tiny_engine: Path) -> None:
    out = folder / "a" / "preds"
    run(folder, out, tiny_engine)
    changes = run(folder, out, tiny_engine, again=True).changes
    assert (changes.added, changes.gone) == (0, 0)


@pytest.mark.parametrize("kind", ["isic", "csv"])
def test_a_submission_is_called_one(
    folder: Path, tiny_engine: Path, tmp_path: Path, kind: str
) -> None:
    out = tmp_path / "p.csv"
    run(folder, out, tiny_engine, kind="isic")
    with pytest.raises(InputError, match="an ISIC submission, which can be neither verified nor"):
        run(folder, out, tiny_engine, kind=kind, again=True)
    assert out.exists()
    assert not journal_folder(out).exists()


def test_a_record_with_odd_parts_is_refused(
    folder: Path, tiny_engine: Path, tmp_path: Path
) -> None:
    out = tmp_path / "p.csv"
    run(folder, out, tiny_engine)
    record = json.loads(record_path(out).read_text())
    record["options"]["max_megabytes"] = None
    record_path(out).write_text(json.dumps(record))
    with pytest.raises(InputError, match="its option max_megabytes is None"):
        run(folder, out, tiny_engine, again=True)


def test_a_kill_after_the_table_was_written_does_not_hide_what_a_retry_is_for(
    folder: Path, tiny_engine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, options = tmp_path / "preds.csv", ScoreOptions(engine=str(tiny_engine))
    (folder / "mended.jpg").write_bytes(b"not yet")
    with monkeypatch.context() as patch:
        patch.setattr("hambatch.score.journal.folder.Journal.done", lambda journal: None)
        failed = score(folder, out, "csv", options).tally.failed
    assert journal_folder(out).exists()
    (folder / "mended.jpg").write_bytes(jpeg_bytes(7))
    outcome = score(folder, out, "csv", options, retry_failed=True)
    assert outcome.tally.failed == failed - 1
    assert not journal_folder(out).exists()
