"""Every kind of source gives the rows of the folder, and each row says where its image lies."""

import csv
import io
import json
import signal
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hambatch.cli import hambatch
from tests.conftest import jpeg_bytes
from tests.faults.holding import Hold
from tests.waiting import wait_for

NOT_ALL = 3

NAMES = ("a.jpg", "b.jpg", "sub/c.jpg")


def invoke(engine: Path, *words: object, stdin: bytes | None = None) -> Result:
    line = [*map(str, words), "--engine", str(engine)]
    return CliRunner().invoke(hambatch, line, input=stdin)


def score(engine: Path, out: Path, *sources: object, stdin: bytes | None = None) -> Result:
    return invoke(engine, "score", *sources, "--out", out, stdin=stdin)


def rows(table: Path) -> dict[str, str]:
    """Give what follows the name in each row, by name."""
    pairs = (line.partition(",") for line in table.read_text().splitlines()[1:])
    return {name: rest for name, _, rest in pairs}


def reasons(table: Path) -> dict[str, str]:
    with table.open(encoding="utf-8", newline="") as stream:
        found = csv.DictReader(stream)
        return {row["image"]: row["reason"] for row in found if row["status"] == "failed"}


def record(table: Path) -> dict[str, object]:
    return json.loads(table.with_name(f"{table.name}.run.json").read_text())


def zipped(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def tarred(path: Path, members: dict[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


PICTURES = {name: jpeg_bytes(k) for k, name in enumerate(NAMES)}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same three pictures as every kind of source."""
    from backports import zstd

    place = tmp_path_factory.mktemp("sources")
    for folder in ("images", "other/images"):
        for name, content in PICTURES.items():
            path = place / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    zipped(place / "stored.zip", PICTURES)
    zipped(place / "deflated.zip", PICTURES, zipfile.ZIP_DEFLATED)
    plain = tarred(place / "plain.tar", PICTURES)
    tarred(place / "gzip.tar.gz", PICTURES, "w:gz")
    (place / "zstd.tar.zst").write_bytes(zstd.compress(plain.read_bytes()))
    lines = [f"images/{name},P{k}" for k, name in enumerate(NAMES)]
    (place / "list.csv").write_text("\n".join(["image,patient", *lines]) + "\n")
    return place


ARCHIVES = ("stored.zip", "deflated.zip", "plain.tar", "gzip.tar.gz", "zstd.tar.zst")


@pytest.fixture(scope="module")
def together(place: Path, tiny_engine: Path) -> Path:
    """The table of all of them, by one run."""
    out = place / "together.csv"
    archives = [place / name for name in ARCHIVES]
    trees = [place / "images", place / "other/images", place / "other/*/*.jpg"]
    files = [place / "images/a.jpg", place / "list.csv"]
    result = score(tiny_engine, out, *trees, *archives, *files)
    assert result.exit_code == 0, result.output
    return out


def test_every_kind_of_source_gives_the_rows_of_the_folder(together: Path) -> None:
    found = rows(together)
    wanted = {name: found.pop(f"images/{name}") for name in NAMES}
    in_archives = {f"{archive}!/{name}": wanted[name] for archive in ARCHIVES for name in NAMES}
    again = {f"images#2/{name}": row for name, row in wanted.items()}
    by_glob = {f"other/images/{name}": wanted[name] for name in ("a.jpg", "b.jpg")}
    by_table = {f"list.csv/images/{name}": wanted[name] for name in NAMES}
    assert {name: row.split(",")[:15] for name, row in found.items()} == {
        name: row.split(",")[:15]
        for name, row in (
            in_archives | again | by_glob | by_table | {"a.jpg": wanted["a.jpg"]}
        ).items()
    }


def test_what_a_manifest_says_of_an_image_stands_in_its_row_alone(together: Path) -> None:
    cells = {name: rest.rpartition(",")[2] for name, rest in rows(together).items()}
    assert cells.pop("list.csv/images/sub/c.jpg") == "P2"
    assert cells["images/sub/c.jpg"] == cells["plain.tar!/sub/c.jpg"] == ""
    assert record(together)["output"]["carried"] == ["patient"]  # type: ignore[index]


def test_the_table_of_all_of_them_is_verified(
    place: Path, together: Path, tiny_engine: Path
) -> None:
    sources = record(together)["source"]
    verdict = invoke(tiny_engine, "verify", together, *sources, "--sample", 4)  # type: ignore[misc]
    assert verdict.exit_code == 0, verdict.output
    assert "27 by their sha256" in verdict.output


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory, tiny_engine: Path) -> tuple[Path, Result]:
    """The table of archives that are damaged, or made to mislead."""
    place = tmp_path_factory.mktemp("odd")
    good, other = jpeg_bytes(1), jpeg_bytes(2)
    cut = tarred(place / "cut.tar", {"whole.jpg": good, "half.jpg": other}).read_bytes()
    (place / "cut.tar").write_bytes(cut[: cut.index(other) + 100])
    with zipfile.ZipFile(place / "twice.zip", "w") as archive:
        archive.writestr("x.jpg", good)
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("x.jpg", other)
        archive.writestr("x.jpg#2", good)
    zipped(place / "escape.zip", {"../../out.jpg": good, "/abs.jpg": other})
    overlapping(place / "overlap.zip", good)
    tarred(place / "outer.tar", {"in.zip": zipped(place / "in", {"i.jpg": good}).read_bytes()})
    (place / "in").unlink()
    (place / "notes.zip").write_bytes(b"no zip at all")
    out = place / "odd.csv"
    return place, score(tiny_engine, out, place, "--archives")


def overlapping(path: Path, content: bytes) -> None:
    """Write a zip of which two entries share the bytes of one."""
    zipped(path, {"one.jpg": content, "two.jpg": content, "three.jpg": jpeg_bytes(3)})
    raw = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        offset = archive.getinfo("two.jpg").header_offset
    # The name in both headers, and the place in the directory.
    raw = raw.replace(b"two.jpg", b"one.jpg")
    path.write_bytes(raw.replace(offset.to_bytes(4, "little"), bytes(4)))


def test_members_of_one_name_have_a_row_each(odd: tuple[Path, Result]) -> None:
    found = rows(odd[0] / "odd.csv")
    first, second, third = (found[f"twice.zip!/x.jpg{end}"] for end in ("", "#3", "#2"))
    assert first != second
    assert first == third


def test_a_damaged_archive_is_a_failed_row_and_the_members_before_keep_theirs(
    odd: tuple[Path, Result],
) -> None:
    place, result = odd
    assert result.exit_code == NOT_ALL
    found, failed = rows(place / "odd.csv"), reasons(place / "odd.csv")
    assert found["cut.tar!/whole.jpg"].startswith("ok")
    assert failed["cut.tar!/half.jpg"] == "member is cut off: the archive ends in the middle of it"
    assert failed["cut.tar"].startswith("archive is damaged: ")
    assert "notes.zip" in failed


def test_members_that_share_bytes_are_failed_rows(odd: tuple[Path, Result]) -> None:
    found, failed = rows(odd[0] / "odd.csv"), reasons(odd[0] / "odd.csv")
    assert found["overlap.zip!/three.jpg"].startswith("ok")
    for name in ("overlap.zip!/one.jpg", "overlap.zip!/one.jpg#2"):
        assert failed[name].startswith("member overlaps another one")


def test_a_name_that_leads_out_is_kept_and_nothing_is_written(odd: tuple[Path, Result]) -> None:
    place, _ = odd
    found = rows(place / "odd.csv")
    assert found["escape.zip!/../../out.jpg"].startswith("ok")
    assert found["escape.zip!//abs.jpg"].startswith("ok")
    assert not (place.parent.parent / "out.jpg").exists()
    left = {path.name for path in place.iterdir()}
    archives = {"cut.tar", "twice.zip", "escape.zip", "overlap.zip", "outer.tar", "notes.zip"}
    assert left == archives | {"odd.csv", "odd.csv.run.json"}


def test_an_archive_inside_another_one_is_scored_one_level_deep(odd: tuple[Path, Result]) -> None:
    assert rows(odd[0] / "odd.csv")["outer.tar!/in.zip!/i.jpg"].startswith("ok")


def test_archives_in_a_folder_are_named_where_nobody_asked_for_them(
    tiny_engine: Path, tmp_path: Path
) -> None:
    source, out = tmp_path / "s", tmp_path / "p.csv"
    source.mkdir()
    (source / "a.jpg").write_bytes(jpeg_bytes(1))
    zipped(source / "more.zip", {"b.jpg": jpeg_bytes(2)})
    result = score(tiny_engine, out, source)
    assert (result.exit_code, [*rows(out)]) == (0, ["a.jpg"])
    said = "not looked into, no row: 1 archive (more.zip) (--archives scores what is in them)"
    assert said in result.output
    assert record(out)["not_scored"]["archives"]["names"] == ["more.zip"]  # type: ignore[index]


def test_a_run_over_a_compressed_tar_and_stdin_that_was_killed_goes_on(
    tiny_engine: Path, tmp_path: Path
) -> None:
    pictures = {f"{k}.jpg": jpeg_bytes(k) for k in (3, 1, 2, 5, 4, 0)}
    archive = tarred(tmp_path / "t.tgz", pictures, "w:gz")
    for name, content in pictures.items():
        (tmp_path / name).write_bytes(content)
    paths = "".join(f"{tmp_path / name}\0" for name in pictures).encode()
    words = ["score", str(archive), "-", "-0", "--engine", str(tiny_engine), "--batch-size", "2"]
    whole, out = tmp_path / "whole.csv", tmp_path / "p.csv"
    result = CliRunner().invoke(hambatch, [*words, "--out", str(whole)], input=paths)
    assert result.exit_code == 0, result.output

    hold = Hold(tmp_path / "hold", batch=2)
    line = [sys.executable, "-m", "hambatch", *words, "--out", str(out)]
    quiet = subprocess.DEVNULL
    with subprocess.Popen(line, stdin=-1, stderr=quiet, env=hold.environment) as run:
        assert run.stdin
        run.stdin.write(paths)
        run.stdin.close()
        wait_for(lambda: hold.is_held, "the run decodes images", run)
        run.send_signal(signal.SIGKILL)
    hold.let_go()
    # The listing is frozen: nothing needs to come on stdin again.
    again = CliRunner().invoke(hambatch, [*words, "--out", str(out)], input=b"")
    assert again.exit_code == 0, again.output
    assert out.read_bytes() == whole.read_bytes()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nowhere.zip",), "nowhere.zip does not exist, wanted a folder, an image, an archive"),
        (("no/*.jpg",), "no does not exist, wanted the folder that no/*.jpg begins with"),
        (("-", "-"), "- stands there twice, wanted once"),
        (("{here}/list.txt",), "if it is a list of paths: hambatch score - --out preds.csv < "),
    ],
)
def test_a_source_that_is_not_there_is_one_message_with_what_to_do(
    words: tuple[str, ...], said: str, tiny_engine: Path, tmp_path: Path
) -> None:
    (tmp_path / "list.txt").write_text("a.jpg\nb.jpg\n")
    words = tuple(word.format(here=tmp_path) for word in words)
    result = score(tiny_engine, tmp_path / "p.csv", *words)
    assert result.exit_code == 1
    assert said in str(result.exception)
    assert "\nNext: " in str(result.exception)
    assert [*tmp_path.iterdir()] == [tmp_path / "list.txt"]


def test_no_output_replaces_a_source(tiny_engine: Path, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(jpeg_bytes(1))
    for name in ("list.csv", "p.csv.changes.csv"):
        (tmp_path / name).write_text("image\na.jpg\n")
    for source, out in (("list.csv", "list.csv"), ("p.csv.changes.csv", "p.csv")):
        words = ("score", tmp_path / source, "--out", tmp_path / out, "--overwrite")
        result = invoke(tiny_engine, *words)
        assert result.exit_code == 1
        said = f"{tmp_path / source} is a SOURCE and would be replaced by an output of --out"
        assert said in str(result.exception)
        assert (tmp_path / source).read_text() == "image\na.jpg\n"
    assert len([*tmp_path.iterdir()]) == 3


def test_a_retry_over_an_archive_that_changed_names_the_update(
    tiny_engine: Path, tmp_path: Path
) -> None:
    archive, out = tmp_path / "a.zip", tmp_path / "p.csv"
    zipped(archive, {"a.jpg": jpeg_bytes(1), "b.jpg": b""})
    assert score(tiny_engine, out, archive).exit_code == NOT_ALL
    zipped(archive, {"b.jpg": jpeg_bytes(2)})
    result = invoke(tiny_engine, "score", archive, "--out", out, "--retry-failed")
    assert result.exit_code == 1
    assert "write --update instead of --retry-failed to score what changed" in str(result.exception)
    assert [*rows(out)] == ["a.zip!/a.jpg", "a.zip!/b.jpg"]


def test_names_with_line_ends_come_and_are_verified_with_a_byte_0_behind_each(
    tiny_engine: Path, tmp_path: Path
) -> None:
    names = ("line\nend.jpg", "tab\tand!.jpg", "twice!.jpg", "twice!.jpg")
    for k, name in enumerate(names):
        (tmp_path / name).write_bytes(jpeg_bytes(k))
    paths = "".join(f"{tmp_path / name}\0" for name in names).encode()
    out = tmp_path / "p.csv"
    assert score(tiny_engine, out, "-", "-0", stdin=paths).exit_code == 0
    ends = [name.removeprefix(f"{tmp_path}/") for name in rows(out)]
    assert ends == ["line%0Aend.jpg", "tab%09and!.jpg", "twice!.jpg", "twice!.jpg#2"]
    result = invoke(tiny_engine, "verify", out, "-", "-0", stdin=paths)
    assert result.exit_code == 0, result.output


def test_a_spreadsheet_is_refused_as_a_source_and_not_read_as_an_archive(
    place: Path, tiny_engine: Path, tmp_path: Path
) -> None:
    for name in ("list.xlsx", "LIST.ODS"):
        path = zipped(tmp_path / name, {"xl/media/image1.jpg": jpeg_bytes(1)})
        result = score(tiny_engine, tmp_path / "p.csv", place / "images", path)
        assert "is a spreadsheet, wanted a folder, an image" in str(result.exception)
        assert "Next: save the sheet as CSV UTF-8" in str(result.exception)
