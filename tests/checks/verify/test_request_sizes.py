"""A GPU whose memory is full has smaller requests: no reason to distrust its table."""

from pathlib import Path
from typing import Any

import pytest

from hambatch.checks.verify import evidence as sample
from hambatch.checks.verify.evidence import score_again
from hambatch.checks.verify.verify import verify
from hambatch.score.options import ScoreOptions
from hambatch.score.run import score
from hambatch.types import Row
from tests.backends.tensorrt.host_gpus import host_gpus
from tests.checks.verify.tampering import EVERY, edit, found, record_anew
from tests.conftest import jpeg_bytes

__all__ = ["host_gpus"]


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for k in range(6):
        (folder / f"{k}.jpg").write_bytes(jpeg_bytes(k))
    return folder


@pytest.fixture
def table(host_gpus: None, images: Path, tiny_engine: Path, tmp_path: Path) -> Path:
    out = tmp_path / "rows.csv"
    score(images, out, "csv", ScoreOptions(engine=str(tiny_engine), device="0"))
    return out


def halved_then(table: Path) -> None:
    """Let the rows be of a GPU that was full, as the record then says."""
    edit(table, lambda lines: lines.__setitem__(slice(None), [_halved(line) for line in lines]))
    record_anew(table)


def _halved(line: str) -> str:
    return line.replace("tensorrt-fp32", "tensorrt-fp32-b32")


def test_rows_of_halved_requests_are_true_and_not_said_to_be_so_to_the_last_digit(
    table: Path, images: Path
) -> None:
    whole = verify(table, images, "auto", EVERY)
    assert (whole.differences, "to the last digit" in whole.proven) == ([], True)
    halved_then(table)
    halved = verify(table, images, "auto", EVERY)
    assert halved.differences == []
    assert "all agree, the probabilities within 1e-04" in halved.proven


def test_a_wrong_probability_among_halved_requests_is_found(table: Path, images: Path) -> None:
    def other(lines: list[str]) -> None:
        was, wrong = "akiec,1.000000,1.000000,0.000000", "bcc,1.000000,0.000000,1.000000"
        assert was in lines[1]
        lines[1] = lines[1].replace(was, wrong)

    halved_then(table)
    edit(table, other)
    record_anew(table)
    ((image, what),) = found(table, images)
    assert (image, what) == ("0.jpg", "probabilities when scored again differ by 1.000000")


def row(backend: str, first: float) -> Row:
    rest = (1 - first) / 6
    return Row("a.jpg", "ok", "nv", (first, *[rest] * 6), 0.5, "dali-gpu", backend, "ab", "")


@pytest.mark.parametrize(
    ("then", "now", "off", "holds"),
    [
        ("tensorrt-fp32-b32", "tensorrt-fp32", 5e-5, True),
        ("tensorrt-fp32", "tensorrt-fp32-b16", 5e-5, True),
        ("tensorrt-fp32-b32", "tensorrt-fp32-b16", 5e-5, True),
        ("tensorrt-fp32-b32", "tensorrt-fp32", 5e-4, False),
        ("tensorrt-fp32-b32", "tensorrt-fp32-b32", 5e-5, False),
        ("tensorrt-fp32", "tensorrt-fp32", 5e-5, False),
        ("tensorrt-fp32", "tensorrt-fp16", 0, False),
    ],
)
def test_only_another_size_of_requests_may_move_a_probability(
    then: str, now: str, off: float, holds: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def predicted(*arguments: Any, **named: Any) -> list[Row]:
        return [row(now, 0.4 + off)]

    monkeypatch.setattr(sample, "predict_files", predicted)
    options = ScoreOptions(device="0", backend="tensorrt", precision="fp32")
    again = score_again(Path(), [row(then, 0.4)], options, 0.0, 1e-4)
    assert (not again.differences) == holds
