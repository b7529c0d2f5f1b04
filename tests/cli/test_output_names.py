"""An output is what its name says and lies where its name leads; anything else is refused."""

import csv
import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from click.testing import CliRunner, Result

from hambatch.cli import hambatch
from tests.cli.test_evaluate import write_inputs
from tests.cli.test_prepare_command import make_download
from tests.conftest import jpeg_bytes


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("source")
    for k in range(2):
        (folder / f"{k}.jpg").write_bytes(jpeg_bytes(k))
    return folder


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to type relative names in."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def run(*arguments: Path | str) -> Result:
    return CliRunner().invoke(hambatch, list(map(str, arguments)))


def said(result: Result) -> str:
    """What a user reads, whichever part of the command line refuses."""
    return f"{result.output}{result.exception}"


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("p.xls", "Next: --out p.xlsx"),
        ("p.ods", "wanted one of .csv, .tsv, .tab, .parquet, .pq, .jsonl, .ndjson, .xlsx."),
        ("p.json", "has the suffix .json"),
        ("p.psv", "Next: --out p.csv"),
        ("p.v2", "add --format csv to keep .v2"),
        ("./-", "standard output"),
        ("no/p.csv", "Next: add --mkdir, or mkdir -p no, or name another --out"),
        ("no/p.csv --mkdir --engine none", "no engine 'none'"),
        ("no/p.csv --mkdir --format parquet", "but Parquet is written"),
        ("results/", "the name of a folder"),
        ("p.parquet --format csv", "has the suffix .parquet, but CSV is written"),
        ("p.xlsx --format csv", "has the suffix .xlsx, but CSV is written"),
        ("p.csv --format jsonl", "Next: --out p.jsonl"),
    ],
)
def test_score_refuses_a_name_that_promises_something_else(
    source: Path, tiny_engine: Path, here: Path, typed: str, words: str
) -> None:
    result = run("score", source, "--engine", tiny_engine, "--out", *typed.split())
    assert result.exit_code != 0, result.output
    assert words in said(result)
    assert "\nNext: " in said(result)
    assert list(here.iterdir()) == []


def test_mkdir_makes_the_folders_that_are_missing_with_the_modes_of_the_umask(
    source: Path, tiny_engine: Path, here: Path
) -> None:
    (here / "link.csv").symlink_to("a/b/real.csv")
    (here / "file").touch()
    score = ("score", source, "--engine", tiny_engine, "--mkdir", "--out")
    before = os.umask(0o027)
    try:
        assert run(*score, "link.csv").exit_code == 0
    finally:
        os.umask(before)
    assert sorted(os.listdir(here / "a" / "b")) == ["real.csv", "real.csv.run.json"]
    assert [path.stat().st_mode & 0o777 for path in (here / "a", here / "a" / "b")] == [0o750] * 2
    for out in ("file/p.csv", "file/b/p.csv"):
        assert "which is no folder" in said(run(*score, out))
    assert "exists already" in said(run(*score, "a/b/real.csv"))


def test_a_run_that_makes_nothing_leaves_no_folder_that_it_made(
    source: Path, tiny_engine: Path, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "made").mkdir()
    monkeypatch.setattr("hambatch.sinks.xlsx_table.MOST_ROWS", 1)
    result = run("score", source, "--engine", tiny_engine, "--mkdir", "--out", "made/a/b/p.xlsx")
    assert "found 2 images; wanted at most 1, the rows of a sheet" in said(result)
    assert "Next: --out made/a/b/p.csv" in said(result)
    assert os.listdir(here / "made") == []


def test_another_command_names_the_one_that_makes_a_missing_folder(here: Path) -> None:
    preds, truth = write_inputs(here.parent)
    result = run("evaluate", preds, "--truth", truth, "--html", "no/page.html")
    assert f"Next: mkdir -p {here / 'no'}, then the same command" in said(result)


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """A folder on another file system than the temporary ones, where there is one."""
    memory = Path("/dev", "shm")
    with TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else tmp_path) as place:
        yield Path(place)


def test_score_writes_where_a_link_leads_and_verify_finds_the_record_through_it(
    source: Path, tiny_engine: Path, here: Path, elsewhere: Path
) -> None:
    target = elsewhere / "real.csv"
    target.write_text("of last night")
    for link in ("link.csv", "other.txt"):
        Path(link).symlink_to(target)
    scored = ("score", source, "--engine", tiny_engine, "--out")
    result = run(*scored, "link.csv", "--overwrite")
    assert result.exit_code == 0, result.output
    assert Path("link.csv").is_symlink()
    with target.open(newline="") as stream:
        assert [row["image"] for row in csv.DictReader(stream)] == ["0.jpg", "1.jpg"]
    assert sorted(os.listdir(elsewhere)) == ["real.csv", "real.csv.run.json"]
    assert sorted(os.listdir(here)) == ["link.csv", "other.txt"]
    assert f"link.csv is a link: written to {target}" in result.output
    assert run("verify", "link.csv", source, "--sample", "0").exit_code == 0
    again = run(*scored, "other.txt", "--format", "csv")
    assert "exists already" in str(again.exception)


@pytest.mark.parametrize(
    ("leads_to", "words"),
    [
        ("link.csv", "leads back to itself"),
        (".", "is a folder"),
        ("gone/real.csv", "which is no folder"),
        ("gone/real.csv", "gone, or name another --out"),
        ("real.parquet", "leads to"),
        # Not the same command again.
        ("real.parquet", f"{os.sep}real.csv"),
    ],
)
def test_a_link_that_leads_to_no_place_for_the_table_is_refused(
    source: Path, tiny_engine: Path, here: Path, leads_to: str, words: str
) -> None:
    (here / "link.csv").symlink_to(leads_to)
    result = run("score", source, "--engine", tiny_engine, "--out", "link.csv")
    assert result.exit_code != 0
    assert words in said(result)
    assert os.listdir(here) == ["link.csv"]
    assert (here / "link.csv").is_symlink()


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("evaluate PREDS --truth TRUTH --html page.txt", "Next: --html page.html"),
        ("evaluate PREDS --truth TRUTH --html -", "standard output"),
        ("evaluate PREDS --truth TRUTH --out eval.json", "Next: --out eval"),
        ("explain SOURCE/0.jpg --out map.png", "Next: --out map"),
        ("explain SOURCE/0.jpg --out -", "standard output"),
        ("prepare SOURCE --out split.xlsx", "Next: --out split.csv"),
        ("parity SOURCE --engine NONE --out parity.csv", "Next: --out parity.json"),
        ("bench engine SOURCE --engine NONE --out bench.txt", "Next: --out bench.json"),
        ("bench score SOURCE --engine NONE --plots all.png", "Next: --plots all"),
        ("train --data TRUTH --out mine.onnx", "Next: --out mine"),
        ("train --data TRUTH --folds 3 --out folds.csv", "Next: --out folds.json"),
        ("samples - --count 1", "standard output"),
        ("samples few.zip --count 1", "wanted the name of a folder"),
    ],
)
def test_every_other_command_with_an_output_refuses_such_names_too(
    source: Path, here: Path, typed: str, words: str
) -> None:
    preds, truth = write_inputs(here.parent)
    for placeholder, path in (("PREDS", preds), ("TRUTH", truth), ("SOURCE", source)):
        typed = typed.replace(placeholder, str(path))
    result = run(*typed.split())
    assert result.exit_code != 0, result.output
    assert words in said(result)
    assert list(here.iterdir()) == []


def test_a_split_table_and_its_record_lie_where_a_link_leads(here: Path) -> None:
    make_download(here / "ham", images=10)
    (here / "far").mkdir()
    (here / "split.csv").symlink_to("far/real.csv")
    result = run("prepare", "ham", "--out", "split.csv")
    assert result.exit_code == 0, result.output
    assert (here / "split.csv").is_symlink()
    assert sorted(os.listdir(here / "far")) == ["real.csv", "real.csv.json"]
    assert sorted(os.listdir(here)) == ["far", "ham", "split.csv"]
