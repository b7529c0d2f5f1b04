"""What a resumed run or a retry signs: no row that somebody without the key may have written."""

import json
import shutil
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hambatch.engines.loading import Engine, load_engine
from hambatch.scoring.record import oldest_row_utc
from hambatch.sinks.seal import Flaw, find_flaws
from tests.cli.test_forged_tables import as_melanoma, forge
from tests.cli.test_seal import place, run_killed_before, score, scored, verify

__all__ = ["place", "scored"]


def forge_last_score(rows: Path) -> None:
    """What somebody without the key can write into a journal: its checksum and its tag fit.

    Of the last scored image; the rows of others keep what they say.
    """
    lines = rows.read_bytes().splitlines()
    read = [json.loads(line[9:]) for line in lines]
    last = max(k for k, row in enumerate(read) if row[2] == "ok")
    row = read[last]
    row[3], row[4], row[5] = "mel", [0, 0, 0, 0, 1, 0, 0], 1
    text = json.dumps(row, separators=(",", ":")).encode()
    lines[last] = b"%08x %s" % (zlib.crc32(text), text)
    rows.write_bytes(b"\n".join([*lines, b""]))


@pytest.mark.parametrize(("signed", "found"), [(False, "4 rows"), (True, "1 row")])
def test_a_resumed_run_signs_no_row_of_the_journal_that_the_key_did_not_mark(
    place: Path, tiny_engine: Path, caplog: pytest.LogCaptureFixture, signed: bool, found: str
) -> None:
    true = (place / "preds.csv").read_bytes()
    for path in place.glob("preds.csv*"):
        path.unlink()
    sign = ("--sign", place / "night.key")
    command = ("score", place / "images", "--engine", tiny_engine, "--device", "cpu")
    command = (*command, "--out", place / "preds.csv")
    run_killed_before("preds.csv", *command, *(sign if signed else ()))
    forge_last_score(place / "preds.csv.journal" / "rows")
    code, said = score(place, tiny_engine, *sign)
    assert code == 3, said
    assert f"{found} of the journal, not written with this --sign KEY, may be" in caplog.text
    assert (place / "preds.csv").read_bytes() == true, "a forged row was signed"
    assert verify(place)[0] == 0


def test_a_marked_journal_is_resumed_without_the_key(place: Path, tiny_engine: Path) -> None:
    true = (place / "preds.csv").read_bytes()
    for path in place.glob("preds.csv*"):
        path.unlink()
    command = ("score", place / "images", "--engine", tiny_engine, "--device", "cpu")
    command = (*command, "--out", place / "preds.csv")
    run_killed_before("preds.csv", *command, "--sign", place / "night.key")
    code, said = score(place, tiny_engine)
    assert (code, "4 were done before" in said) == (3, True), said
    assert (place / "preds.csv").read_bytes() == true


def test_a_retry_signs_no_table_that_came_after_the_look_at_its_seal(
    place: Path, tiny_engine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def loaded_meanwhile(folder: Path, sha256: str) -> Engine:
        forge(place / "preds.csv", lambda rows: as_melanoma(rows[1]))
        return load_engine(folder, sha256)

    monkeypatch.setattr("hambatch.scoring.run.load_engine", loaded_meanwhile)
    code, said = score(place, tiny_engine, "--retry-failed", "--sign", place / "night.key")
    assert (code, "the scored rows, which are kept, may be forged" in said) == (1, True), said


def test_a_retry_reads_the_very_bytes_whose_seal_it_checked(
    place: Path, tiny_engine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    true, forged = (place / "preds.csv").read_bytes(), []
    kept = shutil.copytree(place, tmp_path / "kept", ignore=lambda *_: ["images", "kept"])

    def forged_after_the_last_look(table: Path, *others: Any) -> Iterator[Flaw]:
        yield from find_flaws(table, *others)
        if table != place / "preds.csv":
            forge(place / "preds.csv", lambda rows: as_melanoma(rows[1]))
            forged.append(table)

    def put_back(record: dict[str, Any]) -> str:
        for name in ("preds.csv", "preds.csv.run.json"):
            shutil.copy(kept / name, place)
        return oldest_row_utc(record)

    monkeypatch.setattr("hambatch.scoring.signing.find_flaws", forged_after_the_last_look)
    monkeypatch.setattr("hambatch.scoring.start.oldest_row_utc", put_back)
    code, said = score(place, tiny_engine, "--retry-failed", "--sign", place / "night.key")
    assert (code, len(forged)) == (3, 1), said
    assert (place / "preds.csv").read_bytes() == true
    assert verify(place)[0] == 0
