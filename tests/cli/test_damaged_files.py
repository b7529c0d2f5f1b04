"""Whatever is wrong with a file that is read: one short message, what to do, no traceback."""

import csv
import hashlib
import io
import json
import random
import shutil
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from hambatch.cli import hambatch
from hambatch.errors import HambatchError, InputError
from hambatch.system.files import with_checksum
from tests.bench.results import latency, rates, result, throughput
from tests.cli.test_journal_attacks import killed
from tests.conftest import jpeg_bytes
from tests.mutants import HOWS, damaged_bytes, mutant, places

LONGEST_MESSAGE = 3000
"""Characters: room for the paths of a test and two dozen names of columns."""

DEEP = b'{"a":' * 900 + b"1" + b"}" * 900
"""Nested less deep than Python's own limit, so that it is decoded."""


def invoke(*words: object) -> Result:
    return CliRunner().invoke(hambatch, [str(word) for word in words])


def assert_message(found: Result, *words: str) -> None:
    assert isinstance(found.exception, HambatchError | click.ClickException), found.exception
    said = str(found.exception)
    assert len(said) < LONGEST_MESSAGE, said[:300]
    for word in ("Next: ", *words):
        assert word in said


def write_csv(path: Path, rows: list[dict[str, str]]) -> Path:
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.fixture(scope="module")
def made(tiny_engine: Path, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A file of every kind that hambatch reads: an engine, tables, records, a result of bench."""
    root = tmp_path_factory.mktemp("made")
    (root / "trained").mkdir()
    (root / "archive").mkdir()
    for k in range(4):
        (root / "trained" / f"t{k}.jpg").write_bytes(jpeg_bytes(k))
        (root / "archive" / f"a{k}.jpg").write_bytes(jpeg_bytes(9 + k))
    empty = dict.fromkeys(("dx_type", "age", "sex", "localization"), "")
    rows = [
        {"image_id": f"t{k}", "lesion_id": f"L{k}", "dx": "nv"}
        | empty
        | {"file": f"t{k}.jpg", "sha256": hashlib.sha256(jpeg_bytes(k)).hexdigest(), "split": side}
        for k, side in enumerate(("train", "train", "val", "test"))
    ]
    split = write_csv(root / "split.csv", rows)
    (root / "split.csv.json").write_text(json.dumps({"root": str(root / "trained"), "seed": 3}))
    labels = [{"image_id": f"a{k}", "dx": ("nv", "mel")[k % 2]} for k in range(4)]
    write_csv(root / "labels.csv", labels)
    engine = shutil.copytree(tiny_engine, root / "engine")
    values = json.loads((engine / "engine.json").read_text())
    values["data"] = {"split_sha256": hashlib.sha256(split.read_bytes()).hexdigest()}
    (engine / "engine.json").write_text(json.dumps(with_checksum(values), indent=2) + "\n")
    for name in ("preds.csv", "preds.jsonl"):
        out = root / name
        scored = invoke("score", root / "archive", "--engine", engine, "--out", out)
        assert scored.exit_code == 0, scored.exception
    # What fails here fails the test of the list.
    invoke("engines", "complete", engine, "--data", split)
    bench = result(throughput(rates(40, 0.01, 6, 1)), latency([25.0, 24.0, 23.0, 25.0, 24.5, 24.0]))
    for name in ("a.json", "b.json"):
        (root / name).write_text(json.dumps(bench))
    return SimpleNamespace(root=root, engine=engine)


@pytest.fixture
def here(made: SimpleNamespace, tmp_path: Path) -> Path:
    """A copy of all of them."""
    return shutil.copytree(made.root, tmp_path / "made")


def with_fitting_checksum(content: bytes) -> bytes:
    """Write values as if they had been written so from the beginning."""
    try:
        return json.dumps(with_checksum(json.loads(content))).encode()
    except (ValueError, TypeError, RecursionError):
        return content


def show(here: Path, content: bytes) -> Result:
    (here / "engine" / "engine.json").write_bytes(with_fitting_checksum(content))
    return invoke("engines", "show", here / "engine")


def complete(here: Path, content: bytes) -> Result:
    (here / "split.csv.json").write_bytes(content)
    return invoke("engines", "complete", here / "engine", "--data", here / "split.csv")


def evaluate(here: Path, *more: object) -> Result:
    table, truth = here / "preds.csv", here / "labels.csv"
    return invoke("evaluate", table, "--truth", truth, *more)


def with_list(here: Path, content: bytes) -> Result:
    listed = here / "engine" / "training_images.json"
    assert listed.exists(), "no list was written"
    listed.write_bytes(content)
    values = json.loads((here / "engine" / "engine.json").read_bytes())
    entry = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    values["files"]["training_images.json"].update(entry)
    (here / "engine" / "engine.json").write_text(json.dumps(with_checksum(values)))
    # Without its record, which names the engine that was copied.
    (here / "preds.csv.run.json").unlink()
    return evaluate(here, "--engine", here / "engine")


def with_record(here: Path, content: bytes) -> Result:
    (here / "preds.csv.run.json").write_bytes(content)
    return invoke("verify", here / "preds.csv", here / "archive", "--sample", "0")


def with_line(here: Path, content: bytes) -> Result:
    table = here / "preds.jsonl"
    table.write_bytes(content + b"\n" + b"".join(table.read_bytes().splitlines(True)[1:]))
    return invoke("verify", table, here / "archive", "--sample", "0")


def compare(here: Path, content: bytes) -> Result:
    (here / "a.json").write_bytes(content)
    return invoke("bench", "compare", here / "a.json", here / "b.json")


READERS: dict[str, tuple[str, Callable[[Path, bytes], Result], int]] = {
    "engine/engine.json": ("", show, 60),
    "engine/training_images.json": ("", with_list, 10),
    "split.csv.json": ("", complete, 6),
    "preds.csv.run.json": ("", with_record, 15),
    "preds.jsonl": ("", with_line, 10),
    "a.json": ("", compare, 40),
}
"""Each file of JSON with a command that reads it, and how many changes of it are tried."""


def test_no_change_of_a_value_gives_a_traceback_or_a_long_message(here: Path) -> None:
    chosen = random.Random(24)  # noqa: S311
    for name, (_, read, count) in READERS.items():
        content = (here / name).read_bytes().splitlines()[0 if name.endswith("l") else slice(None)]
        whole = json.loads(content if isinstance(content, bytes) else b"\n".join(content))
        kept = {path: path.read_bytes() for path in here.rglob("*") if path.is_file()}
        changes = [(place, how) for place in places(whole) for how in HOWS]
        tried = [mutant(whole, *one) for one in chosen.sample(changes, min(count, len(changes)))]
        damaged = damaged_bytes(json.dumps(whole).encode())
        for change in [*filter(None, tried), *damaged]:
            found = read(here, change.content)
            problem = found.exception
            expected = HambatchError | click.ClickException | SystemExit | None
            what = f"{name}: {change.place} {change.how}: {problem!r}"[:500]
            assert isinstance(problem, expected), what
            if isinstance(problem, HambatchError):
                assert "Next: " in str(problem), what
                assert len(str(problem)) < LONGEST_MESSAGE, what
            for path, before in kept.items():
                path.write_bytes(before)


@pytest.mark.parametrize("name", [name for name in READERS if name != "preds.jsonl"])
def test_json_that_is_nested_deeply_is_refused(here: Path, name: str) -> None:
    assert_message(READERS[name][1](here, DEEP), "nested too deeply")


def test_a_run_that_is_resumed_reads_no_deep_json(here: Path) -> None:
    (here / "preds.csv.run.json").write_bytes(DEEP)
    options = ("--engine", here / "engine", "--out", here / "preds.csv", "--retry-failed")
    assert_message(invoke("score", here / "archive", *options), "nested too deeply")


def change_engine(here: Path, change: Callable[[dict[str, Any]], object]) -> Result:
    values = json.loads((here / "engine" / "engine.json").read_bytes())
    change(values)
    return show(here, json.dumps(values).encode())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda v: v.update(data={"split_sha256": 7}), "data.split_sha256 is 7"),
        (lambda v: v.update(metrics={"test": []}), "metrics.test is []"),
        (lambda v: v["variants"][0].update(parity={"fp16_stored": 3}), "fp16_stored is 3"),
        (lambda v: v["preprocessing"].update(interpolation="cubic"), "interpolation"),
        (lambda v: v["input"].update(colour="BGR"), "colour"),
        (lambda v: v["input"].update(height=10**400), "beyond 64 bits"),
        (lambda v: v.update(name="a\x1b[2Jb"), "name"),
        (lambda v: v["files"]["model.onnx"].update(bytes=-1), "bytes is -1"),
    ],
)
def test_a_value_that_cannot_be_is_refused_when_it_is_read(
    here: Path, change: Callable[[dict[str, Any]], object], said: str
) -> None:
    assert_message(change_engine(here, change), "engine.json cannot be used", said)


@pytest.mark.parametrize(
    "name", ["a\0b.onnx", "a\x1bb", "a\nb", "n" * 300, "/etc/hostname", "../up", "..", "a/b", ""]
)
def test_a_name_that_names_no_file_of_the_folder_is_refused(here: Path, name: str) -> None:
    entry = {"sha256": "0" * 64, "bytes": 1, "optional": True}
    found = change_engine(here, lambda values: values["files"].update({name: entry}))
    assert_message(found, "engine.json cannot be used")


def test_a_key_that_stands_twice_is_refused(here: Path) -> None:
    """Readers differ in which of the two counts."""
    content = (here / "preds.csv.run.json").read_bytes()
    twice = content.replace(b'"state": "finished"', b'"state": "x", "state": "finished"', 1)
    assert_message(with_record(here, twice), "'state' twice")


def test_a_key_that_stands_twice_among_many_is_found_at_once(here: Path) -> None:
    """Comparing each of these keys with each other takes minutes."""
    keys = "".join(f'"k{k}": 1, ' for k in range(100_000))
    content = (here / "preds.csv.run.json").read_text().rstrip().removesuffix("}")
    began = time.process_time()
    found = with_record(here, f'{content}, {keys}"k99999": 1}}'.encode())
    assert_message(found, "'k99999' twice")
    assert time.process_time() - began < 20


@pytest.mark.parametrize(
    ("table", "column"),
    [("labels.csv", "dx"), ("labels.csv", "image_id"), ("preds.csv", "prediction")],
)
def test_a_long_cell_is_not_shown_whole(here: Path, table: str, column: str) -> None:
    path = here / table
    with path.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    rows[0][column] = rows[1][column] = "x" * 3_000_000
    write_csv(path, rows)
    assert_message(evaluate(here))


@pytest.mark.parametrize("cells", [1, 300_000])
def test_a_long_header_is_refused_at_once(here: Path, cells: int) -> None:
    names = [f"c{k}" for k in range(cells)] if cells > 1 else ["x" * 1_000_000]
    (here / "labels.csv").write_text(",".join(names) + "\n" + "," * (cells - 1) + "1\n")
    assert_message(evaluate(here), "columns ", "labels.csv: found ")


# What `prepare` writes.

FORMULAS = {
    "=cmd|' /C calc'!A0": "the start of a formula",
    "+1+2": "the start of a formula",
    "-2+3": "the start of a formula",
    "@SUM(A1)": "the start of a formula",
    "a;=1": "the start of a formula",
    "a\tb": "a control character",
    "a\x1bb": "a control character",
}


def prepare(root: Path, changed: dict[str, str]) -> Result:
    """Prepare a download of eight images, of which the first has other values."""
    rows = [
        {"lesion_id": f"HAM_{k}", "image_id": f"ISIC_{k}", "dx": "nv", "dx_type": "histo"}
        | {"age": "45.0", "sex": "male", "localization": "back"}
        for k in range(8)
    ]
    rows[0] |= changed
    root.mkdir()
    for k, row in enumerate(rows):
        (root / f"{row['image_id']}.jpg").write_bytes(jpeg_bytes(k))
    write_csv(root / "HAM10000_metadata.csv", rows)
    return invoke("prepare", root, "--out", root / "split.csv")


@pytest.mark.parametrize("cell", FORMULAS)
def test_prepare_writes_no_formula(tmp_path: Path, cell: str) -> None:
    found = prepare(tmp_path / "ham", {"localization": cell})
    assert_message(found, "localization", "no formula")
    assert not (tmp_path / "ham" / "split.csv").exists()


def test_prepare_writes_no_id_and_no_file_that_is_a_formula(tmp_path: Path) -> None:
    assert_message(prepare(tmp_path / "id", {"image_id": "=cmd"}), "image_id", "no formula")
    root = tmp_path / "=file"
    assert prepare(root, {}).exit_code == 0, "the name of the whole folder stands in no table"
    (root / "ISIC_0.jpg").unlink()
    (root / "=part").mkdir()
    (root / "=part" / "ISIC_0.jpg").write_bytes(jpeg_bytes(0))
    found = invoke("prepare", root, "--out", root / "split.csv", "--overwrite")
    assert_message(found, "=part/ISIC_0.jpg", "the start of a formula")


# The journal.


@pytest.fixture(scope="module")
def begun(tiny_engine: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder: the images in ``s``, and the journal of a killed run into ``p.csv``."""
    place = tmp_path_factory.mktemp("begun")
    (place / "s").mkdir()
    for k in range(200):
        (place / "s" / f"{k:03d}.jpg").write_bytes(jpeg_bytes(k % 7))
    killed(place / "s", place / "p.csv", tiny_engine)
    return place


def resume(begun: Path, engine: Path, out: Path) -> Result:
    where = ("--engine", engine, "--batch-size", "4", "--threads", "1")
    return invoke("score", begun / "s", "--out", out, *where)


def test_a_flipped_bit_in_what_the_run_began_with_resumes_nothing(
    begun: Path, tiny_engine: Path, tmp_path: Path
) -> None:
    out = tmp_path / "p.csv"
    journal = shutil.copytree(begun / "p.csv.journal", f"{out}.journal")
    content = (Path(journal) / "run.json").read_bytes()
    # Of the survey, of devices, and of what the run may replace: nothing else notices.
    for word in (b'"begun_utc": "2', b'"unreadable": {', b'"notes": {', b'"may_replace": ['):
        at = content.index(word) + 2
        for bit in (0x01, 0x20):
            flipped = bytearray(content)
            flipped[at] ^= bit
            (Path(journal) / "run.json").write_bytes(flipped)
            found = resume(begun, tiny_engine, out)
            assert isinstance(found.exception, InputError), (word, bit, found)
            assert "run.json is no journal that this hambatch can " in str(found.exception)
            assert "Next: add --overwrite to start afresh" in str(found.exception)
            assert not out.exists()


def line(value: object) -> bytes:
    text = json.dumps(value, separators=(",", ":")).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


LINES: dict[str, Callable[[list[Any]], bytes]] = {
    "a text": lambda row: line("row"),
    "a list of nothing": lambda row: line([]),
    "another object": lambda row: line({"gone": [1]}),
    "indices that are none": lambda row: line({"void": ["x"]}),
    "a negative index": lambda row: line({"void": [-1]}),
    "an image beyond the listing": lambda row: line([10_000, *row[1:]]),
    "six probabilities": lambda row: line([*row[:4], row[4][1:], *row[5:]]),
    "a probability of 7": lambda row: line([*row[:4], [7.0, *row[4][1:]], *row[5:]]),
    "no probability": lambda row: line([*row[:4], ["x", *row[4][1:]], *row[5:]]),
    "another class": lambda row: line([*row[:3], "scc", *row[4:]]),
    "a hash of no file": lambda row: line([*row[:8], "x", *row[9:]]),
    "one cell too many": lambda row: line([*row, "mark", "x"]),
    "a deep list": lambda row: b"%08x %s\n" % (zlib.crc32(DEEP), DEEP),
}


@pytest.mark.parametrize("kind", LINES)
def test_a_row_with_a_right_checksum_and_wrong_content_is_refused(
    begun: Path, tiny_engine: Path, tmp_path: Path, kind: str
) -> None:
    out = tmp_path / "p.csv"
    rows = Path(shutil.copytree(begun / "p.csv.journal", f"{out}.journal")) / "rows"
    first = json.loads(io.BytesIO(rows.read_bytes()).readline()[9:])
    with rows.open("ab") as stream:
        stream.write(LINES[kind](first))
    found = resume(begun, tiny_engine, out)
    assert_message(found, "has a line that no run writes", "Next: add --overwrite")
    assert not out.exists()
