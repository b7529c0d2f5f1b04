"""Rows survive whatever ends the process, and a damaged line is never a row."""

from pathlib import Path

import numpy as np
import pytest

from hambatch.errors import InputError
from hambatch.scoring.journal.rows import RowLog
from hambatch.types import Row

NAMES = [f"image_{k}.jpg" for k in range(20)]


def row(k: int) -> Row:
    if k % 5 == 0:
        return Row(NAMES[k], "failed", sha256=f"{k:064x}", reason="caf\udce9 \u2028 'x'")
    p = np.random.default_rng(k).dirichlet(np.ones(7)).round(6)
    probabilities = tuple(float(value) for value in p)
    return Row(NAMES[k], "ok", "nv", probabilities, 0.1 + k / 70, "dali-cpu", "b", f"{k:064x}", "")


def written(path: Path, count: int = 20) -> None:
    log = RowLog(path, 20)
    for k in range(count):
        log.append([(k, row(k))])
    log.close()


def test_rows_are_read_back_equal_and_in_the_order_of_the_listing(tmp_path: Path) -> None:
    log = RowLog(tmp_path / "rows", 20)
    for k in reversed(range(20)):
        log.append([(k, row(k))])
    assert list(log.rows(NAMES)) == [row(k) for k in range(20)]
    assert (log.done, log.failed, log.failures()) == (20, 4, [0, 5, 10, 15])


@pytest.mark.parametrize("seed", range(8))
def test_a_file_cut_anywhere_keeps_its_whole_lines_and_goes_on(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "rows"
    written(path)
    content = path.read_bytes()
    cut = int(np.random.default_rng(seed).integers(0, len(content)))
    path.write_bytes(content[:cut])
    log = RowLog(path, 20)
    assert log.done == content[:cut].count(b"\n")
    for k in range(log.done, 20):
        log.append([(k, row(k))])
    log.close()
    assert path.read_bytes() == content


def test_no_changed_byte_is_taken_for_a_row(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    written(path)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(200):
        place, bit = int(rng.integers(len(whole))), int(rng.integers(8))
        damaged = bytearray(whole)
        damaged[place] ^= 1 << bit
        path.write_bytes(damaged)
        log = RowLog(path, 20)
        for k in range(20):
            if k in log:
                assert log.row(k, NAMES[k]) == row(k)
        assert log.done < 20
        assert log.done == whole[:place].count(b"\n")
        log.close()


def test_rows_that_were_taken_back_are_missing_also_when_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    written(path)
    log = RowLog(path, 20)
    log.void([3, 5])
    log.append([(3, row(3))])
    log.close()
    again = RowLog(path, 20)
    assert [k for k in range(20) if k not in again] == [5]
    assert again.failed == 3


def test_a_row_of_an_image_that_is_not_in_the_listing_is_refused(tmp_path: Path) -> None:
    written(tmp_path / "rows")
    with pytest.raises(InputError, match="it is about image 12 of 12"):
        RowLog(tmp_path / "rows", 12)


def test_a_file_that_is_gone_is_an_error_and_not_a_run_into_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hambatch.scoring.journal.rows.SYNC_SECONDS", 0.0)
    log = RowLog(tmp_path / "rows", 20)
    log.append([(0, row(0))])
    (tmp_path / "rows").unlink()
    with pytest.raises(InputError, match=r"rows, the finished rows of this run, was removed"):
        log.append([(1, row(1))])


def test_the_file_is_private(tmp_path: Path) -> None:
    written(tmp_path / "rows", 1)
    assert (tmp_path / "rows").stat().st_mode & 0o777 == 0o600
