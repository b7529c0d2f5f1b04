"""`score` and `verify` on a GPU: of host memory here, of a real one where there is one."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from hambatch.cli import hambatch
from tests.backends.tensorrt.host_gpus import host_gpus
from tests.backends.tensorrt.real import real_backend
from tests.conftest import jpeg_bytes

__all__ = ["host_gpus"]

on_host = pytest.mark.usefixtures("host_gpus")


PROBABILITIES = [f"p_{name}" for name in ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")]

Rows = Callable[..., pd.DataFrame]


@pytest.fixture
def rows(tmp_path: Path, tiny_engine: Path) -> Rows:
    """Score ten pictures and a broken one, and verify the table; gives the rows.

    What the CPU scored with no other option is not verified here: many other tests do that.
    """
    images = tmp_path / "images"
    images.mkdir()
    for k in range(10):
        (images / f"{k}.jpg").write_bytes(jpeg_bytes(k, 64 + k))
    (images / "cut.jpg").write_bytes(jpeg_bytes(99)[:900])

    def run(name: str, *options: str) -> pd.DataFrame:
        out = tmp_path / f"{name}.csv"
        words = ["score", images, "--out", out, "--engine", tiny_engine, "--batch-size", 4]
        ran = CliRunner().invoke(hambatch, [*map(str, words), *options])
        assert ran.exit_code == 3, ran.exception
        if options != ("--device", "cpu"):
            ran = CliRunner().invoke(hambatch, ["verify", str(out), str(images)])
            assert ran.exit_code == 0, ran.output
        return pd.read_csv(out, index_col="image")

    return run


def check_rows(rows: Rows) -> None:
    check_like_the_cpu(rows)


def check_views(rows: Rows) -> None:
    check_like_the_cpu(rows, "--tta", "4")


def check_half(rows: Rows) -> None:
    check_like_the_cpu(rows, only_on_gpu=("--precision", "fp16"))


def check_like_the_cpu(
    rows: Rows, *options: str, only_on_gpu: tuple[str, ...] = ()
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """On a card the decoder rounds otherwise, so its rows are near those of the CPU, not equal."""
    by_gpu = rows("gpu", "--device", "gpu", *options, *only_on_gpu)
    by_cpu = rows("cpu", "--device", "cpu", *options)
    assert list(by_gpu["status"]) == list(by_cpu["status"])
    fine = by_gpu["status"] == "ok"
    assert fine.sum() == 10
    assert by_gpu["backend"][fine].str.startswith("tensorrt-").all()
    assert set(by_gpu["decoder"][fine]) == {"dali-gpu"}
    apart = by_gpu.loc[fine, PROBABILITIES] - by_cpu.loc[fine, PROBABILITIES]
    assert np.abs(apart.to_numpy()).max() < 0.1
    return by_gpu, by_cpu


@on_host
def test_views_on_a_gpu_of_host_memory_are_those_of_the_cpu(rows: Rows) -> None:
    by_gpu, by_cpu = check_like_the_cpu(rows, "--tta", "8")
    assert np.array_equal(by_gpu[PROBABILITIES], by_cpu[PROBABILITIES], equal_nan=True)


@on_host
def test_fp16_on_a_gpu_of_host_memory_is_near_the_cpu(rows: Rows) -> None:
    check_half(rows)


@pytest.mark.gpu
@pytest.mark.parametrize("check", [check_rows, check_views, check_half])
def test_a_real_gpu_scores_as_the_cpu(
    rows: Rows, check: Callable[[Rows], None], tiny_engine: Path
) -> None:
    real_backend(tiny_engine).close()
    check(rows)
