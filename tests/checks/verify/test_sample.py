"""Rows scored again: a GPU whose memory was full had smaller requests, which is no difference."""

from pathlib import Path
from typing import Any

import pytest

from hambatch.checks.verify import sample
from hambatch.checks.verify.sample import Tolerance, score_again
from hambatch.checks.verify.verify import verify
from hambatch.scoring.options import ScoreOptions
from hambatch.scoring.run import score
from hambatch.sources.entry import Entry
from hambatch.sources.source import folder_of_images
from hambatch.types import Row
from tests.backends.tensorrt.host_gpus import host_gpus
from tests.checks.verify.tampering import EVERY, edit, found, record_anew
from tests.conftest import jpeg_bytes

__all__ = ["host_gpus"]


def halved(line: str) -> str:
    return line.replace("tensorrt-fp32", "tensorrt-fp32-b32")


@pytest.mark.usefixtures("host_gpus")
def test_rows_of_halved_requests_are_compared_within_a_tolerance(
    tiny_engine: Path, tmp_path: Path
) -> None:
    images, table = tmp_path / "images", tmp_path / "rows.csv"
    images.mkdir()
    for k in range(6):
        (images / f"{k}.jpg").write_bytes(jpeg_bytes(k))
    score([images], table, "csv", ScoreOptions(engine=str(tiny_engine), device="0"))
    whole = verify(table, [images], "auto", EVERY)
    assert (whole.differences, "to the last digit" in whole.proven) == ([], True)

    # The rows of a GPU whose memory was full, as the record then says.
    edit(table, lambda lines: lines.__setitem__(slice(None), map(halved, lines)))
    record_anew(table)
    of_halves = verify(table, [images], "auto", EVERY)
    assert of_halves.differences == []
    assert "all agree, the probabilities within 1e-04" in of_halves.proven

    def other(lines: list[str]) -> None:
        was, wrong = "akiec,1.000000,1.000000,0.000000", "bcc,1.000000,0.000000,1.000000"
        assert was in lines[1]
        lines[1] = lines[1].replace(was, wrong)

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

    monkeypatch.setattr(sample, "predict_images", predicted)
    options = ScoreOptions(device="0", backend="tensorrt", precision="fp32")
    again = score_again(
        folder_of_images(Path()),
        [row(then, 0.4)],
        {"a.jpg": Entry("a.jpg")},
        options,
        Tolerance(0.0, 1e-4),
    )
    assert (not again.differences) == holds
