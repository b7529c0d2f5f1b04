"""Three nights of an archive that grows: an update gives what a fresh run over the same files does.

Night by night files come, change, move, break and vanish in a folder, a zip and a manifest.
"""

import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from hambatch.cli import hambatch
from hambatch.scoring import run as run_module
from hambatch.scoring.update import index as index_module
from hambatch.sinks.formats import FORMATS, read_rows
from tests.cli.test_seal import NIGHT
from tests.conftest import jpeg_bytes

NOT_ALL = 3


def of_size(seed: int, size: int) -> bytes:
    """A JPEG of exactly so many bytes: a comment fills it."""
    picture, stream = Image.open(io.BytesIO(jpeg_bytes(seed))), io.BytesIO()
    picture.save(stream, "JPEG", quality=60, comment=b"")
    missing = size - len(stream.getvalue())
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=60, comment=b"x" * missing)
    return stream.getvalue()


def invoke(engine: Path, *words: object) -> Result:
    line = ["score", *map(str, words), "--engine", str(engine), "--threads", "1"]
    return CliRunner().invoke(hambatch, line)


def update(engine: Path, out: Path, *sources: object) -> Result:
    return invoke(engine, *sources, "--out", out, "--update")


def record(out: Path) -> dict[str, Any]:
    return json.loads(out.with_name(f"{out.name}.run.json").read_text())


def changes(out: Path) -> dict[str, str]:
    """Give the word for each image that changed; of a moved one with its former name."""
    with out.with_name(f"{out.name}.changes.csv").open(newline="") as stream:
        lines = list(csv.DictReader(stream))
    return {
        line["image"]: " ".join(filter(None, (line["change"], line["before"]))) for line in lines
    }


@dataclass
class Archive:
    """What a clinic has: a folder, a zip, and a manifest of another folder."""

    place: Path
    cells: dict[str, str] = field(default_factory=dict)

    @property
    def sources(self) -> tuple[Path, ...]:
        return self.place / "clinic", self.place / "more.zip", self.place / "ward.csv"

    def file(self, name: str) -> Path:
        return self.place / "clinic" / name

    def to_zip(self, name: str, seed: int) -> None:
        with zipfile.ZipFile(self.place / "more.zip", "a") as archive:
            archive.writestr(name, jpeg_bytes(seed))

    def list_in_manifest(self, **cells: str) -> None:
        self.cells |= cells
        lines = [f"ward/{name}.jpg,{cell}" for name, cell in self.cells.items()]
        content = "\n".join(["image,sha256,lesion", *lines]) + "\n"
        (self.place / "ward.csv").write_text(content)

    def copy(self, place: Path) -> "Archive":
        """Copy it, so that a fresh run has files of its own."""
        shutil.copytree(self.place, place)
        return Archive(place, dict(self.cells))


def before_all(archive: Archive) -> None:
    for folder in ("clinic/sub", "ward"):
        (archive.place / folder).mkdir(parents=True)
    for k in range(8):
        archive.file(f"{k:03d}.jpg").write_bytes(jpeg_bytes(k))
    archive.file("005.jpg").write_bytes(of_size(5, 4000))
    archive.file("large.jpg").write_bytes(jpeg_bytes(9) + b"\0" * 200_000)
    for name, seed in (("a", 20), ("b", 21)):
        (archive.place / f"ward/{name}.jpg").write_bytes(jpeg_bytes(seed))
        archive.list_in_manifest(**{name: f",L{seed}"})
        archive.to_zip(f"{name}.jpg", seed + 10)


def first_night(archive: Archive) -> None:
    archive.file("new.jpg").write_bytes(jpeg_bytes(40))
    archive.file("copy.jpg").write_bytes(jpeg_bytes(0))
    archive.file("001.jpg").write_bytes(jpeg_bytes(41))
    archive.file("002.jpg").rename(archive.file("sub/002.jpg"))
    archive.file("003.jpg").unlink()
    archive.file("004.jpg").write_bytes(jpeg_bytes(4)[:900])
    archive.list_in_manifest(a=",another lesion")


def second_night(archive: Archive) -> None:
    path = archive.file("005.jpg")
    times = path.stat().st_atime_ns, path.stat().st_mtime_ns
    path.write_bytes(of_size(42, 4000))
    os.utime(path, ns=times)
    archive.file("004.jpg").write_bytes(jpeg_bytes(4))
    archive.file("006.jpg").unlink()
    archive.to_zip("inside/c.jpg", 43)
    (archive.place / "ward/c.jpg").write_bytes(jpeg_bytes(44))
    archive.list_in_manifest(c=",L44")


def third_night(archive: Archive) -> None:
    archive.file("sub/002.jpg").rename(archive.file("002.jpg"))
    archive.file("006.jpg").write_bytes(jpeg_bytes(0))
    archive.file("new.jpg").write_bytes(b"")
    archive.file("new.jpg").unlink()
    (archive.place / "ward/b.jpg").unlink()
    archive.list_in_manifest(c=f"{'0' * 64},L44")


@dataclass
class Night:
    """What an update and a fresh run left, and what the update said."""

    table: bytes
    fresh: bytes
    changes: dict[str, str]
    record: dict[str, Any]
    said: str
    exit_code: int


@dataclass
class Nights:
    """All nights, and the state before the third."""

    first: Night
    second: Night
    third: Night
    before_third: Path
    kills: list[tuple[str, bytes, bytes]]


LIMIT = ("--max-megabytes", "0.1")


def fresh_table(archive: Archive, engine: Path, place: Path) -> bytes:
    """Score the same files as if there had been no night before."""
    copy = archive.copy(place)
    invoke(engine, *copy.sources, "--out", place / "fresh.csv", *LIMIT)
    return (place / "fresh.csv").read_bytes()


def night_of(archive: Archive, engine: Path, out: Path, number: int, result: Result) -> Night:
    fresh = fresh_table(archive, engine, archive.place.with_name(f"fresh{number}"))
    said = out.read_bytes(), fresh, changes(out), record(out)["update"]
    return Night(*said, result.output, result.exit_code)


@pytest.fixture(autouse=True, scope="module")
def _settled() -> Iterator[None]:
    """A file counts as left alone at once; that two seconds are needed has a test of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index_module, "UNSETTLED_NS", -(10**15))
        yield


KILL = """
import os, signal
real = os.replace
def replace(source, target, **how):
    real(source, target, **how)
    if os.path.basename(os.fsdecode(target)) == {at!r}:
        os.kill(os.getpid(), signal.SIGKILL)
os.replace = replace
"""

KILLED_AFTER = ("run.json", "p.csv", "p.csv.run.json", "p.csv.index")
"""What was renamed to its place last, when an update was killed."""


def kill(engine: Path, out: Path, archive: Archive, at: str) -> tuple[str, bytes, bytes]:
    """Start an update that is killed; gives what table and changes are then."""
    place = out.with_name("injected")
    place.mkdir(exist_ok=True)
    (place / "sitecustomize.py").write_text(KILL.format(at=at))
    line = [sys.executable, "-m", "hambatch", "score", *map(str, archive.sources), *LIMIT]
    line += ["--out", str(out), "--engine", str(engine), "--update", "--threads", "1"]
    env = {**os.environ, "PYTHONPATH": str(place)}
    killed = subprocess.run(line, capture_output=True, env=env, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    return at, out.read_bytes(), out.with_name(f"{out.name}.changes.csv").read_bytes()


@pytest.fixture(scope="module")
def nights(tiny_engine: Path, tmp_path_factory: pytest.TempPathFactory) -> Nights:
    place = tmp_path_factory.mktemp("nights")
    archive, out = Archive(place / "archive"), place / "p.csv"
    archive.place.mkdir()
    before_all(archive)
    assert update(tiny_engine, out, *archive.sources, *LIMIT).exit_code == NOT_ALL
    found = []
    for number, happens in enumerate((first_night, second_night), 1):
        happens(archive)
        result = update(tiny_engine, out, *archive.sources, *LIMIT)
        found.append(night_of(archive, tiny_engine, out, number, result))
    saved = place / "saved"
    shutil.copytree(place, saved, ignore=shutil.ignore_patterns("fresh*", "saved"))
    third_night(archive)
    kills = [kill(tiny_engine, out, archive, at) for at in KILLED_AFTER]
    result = update(tiny_engine, out, *archive.sources, *LIMIT)
    third = night_of(archive, tiny_engine, out, 3, result)
    return Nights(*found, third, saved, kills)


@pytest.mark.parametrize("name", ["first", "second", "third"])
def test_an_update_gives_the_bytes_of_a_fresh_run(nights: Nights, name: str) -> None:
    night: Night = getattr(nights, name)
    assert night.table == night.fresh
    assert not night.record["index_not_used"]
    assert night.exit_code == NOT_ALL, night.said


def test_each_night_says_what_changed(nights: Nights) -> None:
    assert nights.first.changes == {
        "clinic/001.jpg": "changed",
        "clinic/003.jpg": "removed",
        "clinic/004.jpg": "changed",
        "clinic/copy.jpg": "added",
        "clinic/new.jpg": "added",
        "clinic/sub/002.jpg": "moved clinic/002.jpg",
    }
    assert nights.second.changes == {
        "clinic/004.jpg": "changed",
        "clinic/005.jpg": "changed",
        "clinic/006.jpg": "removed",
        "more.zip!/inside/c.jpg": "added",
        "ward.csv/ward/c.jpg": "added",
    }
    assert nights.third.changes == {
        "clinic/002.jpg": "moved clinic/sub/002.jpg",
        "clinic/006.jpg": "added",
        "clinic/new.jpg": "removed",
        "ward.csv/ward/b.jpg": "changed",
        "ward.csv/ward/c.jpg": "rescored",
    }


def test_only_what_is_new_is_scored(nights: Nights) -> None:
    first, second, third = (n.record for n in (nights.first, nights.second, nights.third))
    # Of the copied and the moved file the bytes are known; so are those of a zip that grew.
    assert (first["reused_by_stat"], first["reused_by_sha256"], first["scored"]) == (8, 2, 3)
    assert (second["reused_by_stat"], second["reused_by_sha256"], second["scored"]) == (8, 2, 4)
    assert "2 added, 1 removed, 2 changed, 1 moved, 10 rows kept" in nights.first.said
    # Too large, gone, of another sha256 than the manifest states: no worker is needed for that.
    assert (third["refused"], third["scored"]) == (3, 0)
    assert third["reused_by_stat"] + third["reused_by_sha256"] == 12


def test_a_killed_update_goes_on_and_its_changes_are_not_lost(nights: Nights) -> None:
    tables = [table for _, table, _ in nights.kills]
    assert tables == [nights.second.table] + [nights.third.fresh] * 3
    # When the last kill came all was in its place: the next start wrote the same changes again.
    assert nights.kills[-1][2].count(b"\n") == 1 + len(nights.third.changes)
    assert nights.third.changes


@pytest.fixture
def before_third(nights: Nights, tmp_path: Path) -> tuple[Path, tuple[Path, ...]]:
    """The table and the sources as they were after the second night, where they were."""
    place = nights.before_third.parent
    del tmp_path
    for name in (
        "archive",
        *(f"p.csv{end}" for end in ("", ".run.json", ".index", ".changes.csv")),
    ):
        path, saved = place / name, nights.before_third / name
        if path.is_dir():
            shutil.rmtree(path)
            shutil.copytree(saved, path)
        else:
            shutil.copy2(saved, path)
    return place / "p.csv", Archive(place / "archive").sources


@pytest.fixture
def _no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*given: object, **named: object) -> None:
        raise AssertionError("a worker was started")

    monkeypatch.setattr("hambatch.scoring.devices.SupervisedWorker", refuse)


@pytest.mark.usefixtures("_no_worker")
def test_a_night_with_nothing_new_starts_no_worker_and_changes_no_byte(
    before_third: tuple[Path, tuple[Path, ...]], tiny_engine: Path
) -> None:
    out, sources = before_third
    table = out.read_bytes()
    # The files were copied back, so that their times and inodes are others.
    for said, kept in (("nothing new", "reused_by_sha256"), ("nothing new", "reused_by_stat")):
        result = update(tiny_engine, out, *sources, *LIMIT)
        assert result.exit_code == NOT_ALL, result.output
        assert said in result.output
        assert out.read_bytes() == table
        assert changes(out) == {}
        assert record(out)["update"][kept] == record(out)["counts"]["images"] - 1
    assert record(out)["update"]["refused"] == 1
    assert record(out)["counts"]["failures_by_reason"]


@pytest.mark.usefixtures("_no_worker")
@pytest.mark.parametrize("damage", [b"", b"x", None])
def test_without_a_fitting_index_every_file_is_read_and_no_row_is_lost(
    before_third: tuple[Path, tuple[Path, ...]], tiny_engine: Path, damage: bytes | None
) -> None:
    out, sources = before_third
    index, table = out.with_name("p.csv.index"), out.read_bytes()
    if damage is None:
        index.unlink()
    else:
        index.write_bytes(index.read_bytes() + damage if damage else b"")
    result = update(tiny_engine, out, *sources, *LIMIT)
    assert "p.csv.index was not used" in result.output
    assert out.read_bytes() == table
    assert record(out)["update"]["reused_by_stat"] == 0


@pytest.mark.usefixtures("_no_worker")
def test_rehash_finds_bytes_that_changed_without_a_trace(
    before_third: tuple[Path, tuple[Path, ...]], tiny_engine: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out, sources = before_third
    update(tiny_engine, out, *sources, *LIMIT)
    # A row of other bytes stands for a disk that changed some: its index, signed by the record,
    # says that the file was left alone.
    rot = sources[0] / "007.jpg"
    rot.write_bytes(jpeg_bytes(0))
    _forge_index(out, rot)
    assert update(tiny_engine, out, *sources, *LIMIT).output.count("other bytes") == 0
    _forge_index(out, rot)
    result = update(tiny_engine, out, *sources, *LIMIT, "--rehash", "100")
    assert "other bytes, though size, times and inode are the same: 1 file (clinic/007.jpg)" in (
        result.output
    )
    assert "clinic/007.jpg" in caplog.text
    assert changes(out) == {"clinic/007.jpg": "changed"}
    assert record(out)["update"]["rehashed"] == record(out)["counts"]["images"] - 1


def _forge_index(out: Path, path: Path) -> None:
    """Let the index of a table say of a file what it looks like now."""
    index, about = out.with_name(f"{out.name}.index"), record(out)
    found = path.stat()
    now = f"{found.st_size}\t{found.st_mtime_ns}\t{found.st_ctime_ns}\t{found.st_ino}"
    lines = index.read_text().splitlines()
    lines = [
        "\t".join([*line.split("\t")[:2], now])
        if line.startswith(f"clinic/{path.name}\t")
        else line
        for line in lines
    ]
    index.write_text("\n".join(lines) + "\n")
    about["update"]["index_sha256"] = index_module.hashlib.sha256(index.read_bytes()).hexdigest()
    out.with_name(f"{out.name}.run.json").write_text(json.dumps(about))


@pytest.mark.usefixtures("_no_worker")
@pytest.mark.parametrize("kind", ["parquet", "jsonl", "xlsx"])
def test_every_format_is_brought_up_to_date(
    nights: Nights, before_third: tuple[Path, tuple[Path, ...]], tiny_engine: Path, kind: str
) -> None:
    out, sources = before_third
    other = _in_format(out, kind)
    third_night(Archive(sources[0].parent, {"a": ",another lesion", "b": ",L21", "c": ",L44"}))
    result = update(tiny_engine, other, *sources, *LIMIT)
    assert result.exit_code == NOT_ALL, result.output
    wanted = out.with_name(f"wanted.{kind}")
    fresh = out.with_name("fresh.csv")
    fresh.write_bytes(nights.third.fresh)
    _write(wanted, kind, fresh)
    assert other.read_bytes() == wanted.read_bytes()
    assert changes(other) == nights.third.changes


def _write(path: Path, kind: str, table: Path) -> None:
    with FORMATS[kind].open_table(path, ("lesion",)) as write:
        for row in read_rows(table, "csv", ("lesion",)):
            write(row)


def _in_format(out: Path, kind: str) -> Path:
    """Give the table and the record that the same run had left with another --out."""
    other, about = out.with_suffix(f".{kind}"), record(out)
    _write(other, kind, out)
    sha256 = index_module.hashlib.sha256(other.read_bytes()).hexdigest()
    about["output"] |= {"file": other.name, "sha256": sha256}
    other.with_name(f"{other.name}.run.json").write_text(json.dumps(about))
    return other


def test_another_setting_scores_all_again_and_says_why(
    before_third: tuple[Path, tuple[Path, ...]], tiny_engine: Path
) -> None:
    out, sources = before_third
    table = out.read_bytes()
    result = update(tiny_engine, out, *sources, *LIMIT, "--min-side", "29")
    why = "limits min_side was 28, is 29"
    assert f"no row was kept: {why}" in result.output
    found = record(out)
    assert found["update"]["rescored_because"] == why
    assert found["update"]["scored"] == found["counts"]["images"]
    assert out.read_bytes() == table


@pytest.mark.usefixtures("_no_worker")
def test_a_file_that_comes_under_way_is_said_and_scored_the_next_time(
    before_third: tuple[Path, tuple[Path, ...]], tiny_engine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, sources = before_third
    begin: Callable[..., Any] = run_module.begin_update

    def and_a_file_comes(*given: Any) -> Any:
        rows = begin(*given)
        (sources[0] / "late.jpg").write_bytes(jpeg_bytes(0))
        return rows

    with monkeypatch.context() as patch:
        patch.setattr(run_module, "begin_update", and_a_file_comes)
        result = update(tiny_engine, out, *sources, *LIMIT)
    assert result.exit_code == NOT_ALL
    assert "came since the run began, no row: 1 file (clinic/late.jpg)" in result.output
    assert "the same command again scores them" in result.output
    assert "late.jpg" not in out.with_name("p.csv.index").read_text()
    update(tiny_engine, out, *sources, *LIMIT)
    assert changes(out) == {"clinic/late.jpg": "added"}


@pytest.mark.usefixtures("_no_worker")
def test_a_table_that_was_changed_is_refused(
    before_third: tuple[Path, tuple[Path, ...]], tiny_engine: Path
) -> None:
    out, sources = before_third
    forged = out.read_bytes().replace(b"clinic/007.jpg,ok", b"clinic/007.jpg,oK")
    out.write_bytes(forged)
    result = update(tiny_engine, out, *sources, *LIMIT)
    assert result.exit_code == 1
    assert "is not the table that p.csv.run.json describes" in str(result.exception)
    assert "add --overwrite instead of --update" in str(result.exception)
    assert out.read_bytes() == forged


@pytest.mark.usefixtures("_no_worker")
@pytest.mark.parametrize("name", ["p.csv.index", "p.csv.changes.csv", "p.csv.run.json"])
def test_nothing_is_written_through_a_link_that_nobody_named(
    before_third: tuple[Path, tuple[Path, ...]], tiny_engine: Path, tmp_path: Path, name: str
) -> None:
    out, sources = before_third
    precious, beside = tmp_path / "precious", out.with_name(name)
    beside.rename(precious)
    beside.symlink_to(precious)
    held = precious.read_bytes()
    result = update(tiny_engine, out, *sources, *LIMIT)
    assert result.exit_code == 1
    assert f"{beside} is a symbolic link" in str(result.exception)
    assert f"Next: rm {beside}" in str(result.exception)
    assert precious.read_bytes() == held
    beside.unlink()
    precious.rename(beside)


def test_changes_that_somebody_edited_are_a_difference(
    before_third: tuple[Path, tuple[Path, ...]], tiny_engine: Path
) -> None:
    out, sources = before_third
    words = ["verify", str(out), *map(str, sources), "--engine", str(tiny_engine), "--sample", "0"]
    honest = CliRunner().invoke(hambatch, words)
    assert honest.exit_code == 0, honest.output
    with out.with_name("p.csv.changes.csv").open("a") as stream:
        stream.write("clinic/007.jpg,removed,,,,,\n")
    edited = CliRunner().invoke(hambatch, words)
    assert edited.exit_code == NOT_ALL
    assert "p.csv.changes.csv is not the one that was recorded" in edited.output


@pytest.mark.usefixtures("_no_worker")
@pytest.mark.parametrize(
    ("away", "stays", "found"),
    [
        ("clinic", True, "no image in {place}/clinic (it is empty)"),
        ("ward", False, "no image of {place}/ward.csv can be read"),
    ],
)
def test_a_share_that_is_not_mounted_removes_no_row(
    before_third: tuple[Path, tuple[Path, ...]],
    tiny_engine: Path,
    away: str,
    stays: bool,
    found: str,
) -> None:
    out, sources = before_third
    share = sources[0].parent / away
    table = out.read_bytes()
    share.rename(share.with_name("elsewhere"))
    if stays:
        share.mkdir()
    result = update(tiny_engine, out, *sources, *LIMIT)
    assert result.exit_code == 1
    assert found.format(place=share.parent) in str(result.exception)
    assert "Next: mount" in str(result.exception)
    if stays:
        share.rmdir()
    share.with_name("elsewhere").rename(share)
    assert update(tiny_engine, out, *sources, *LIMIT).exit_code == NOT_ALL
    assert out.read_bytes() == table
    assert changes(out) == {}


@pytest.mark.usefixtures("_no_worker")
def test_rows_that_the_key_did_not_seal_are_not_signed(
    before_third: tuple[Path, tuple[Path, ...]], tiny_engine: Path
) -> None:
    out, sources = before_third
    key = out.with_name("night.key")
    key.write_text(NIGHT)
    key.chmod(0o600)
    result = update(tiny_engine, out, *sources, *LIMIT, "--sign", key)
    assert result.exit_code == 1
    assert "had no seal that fits it" in str(result.exception)


@pytest.mark.parametrize(
    "words", [("--update", "--overwrite"), ("--update", "--retry-failed"), ("--rehash", "1")]
)
def test_options_that_contradict_are_refused(tmp_path: Path, words: tuple[str, ...]) -> None:
    result = CliRunner().invoke(
        hambatch, ["score", str(tmp_path), "--out", str(tmp_path / "p.csv"), *words]
    )
    assert result.exit_code == 2
    assert "--update" in result.output


def test_a_submission_cannot_be_updated(tmp_path: Path) -> None:
    words = ["score", str(tmp_path), "--out", str(tmp_path / "p.csv"), "--format", "isic"]
    result = CliRunner().invoke(hambatch, [*words, "--update"])
    assert "a submission cannot be updated" in str(result.exception)
