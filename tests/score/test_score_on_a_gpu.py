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

PROBABILITIES = [f"p_{name}" for name in ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")]

Score = Callable[..., pd.DataFrame]


@pytest.fixture
def score(tmp_path: Path, tiny_engine: Path) -> Score:
    """Score ten pictures and a broken one; gives the rows."""
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
        verify = ["verify", str(out), str(images)]
        ran = CliRunner().invoke(hambatch, verify)
        assert ran.exit_code == 0, ran.output
        return pd.read_csv(out, index_col="image")

    return run


def check_rows(score: Score) -> None:
    check_like_the_cpu(score)


def check_views(score: Score) -> None:
    check_like_the_cpu(score, "--tta", "4")


def check_half(score: Score) -> None:
    check_like_the_cpu(score, only_on_gpu=("--precision", "fp16"))


def check_like_the_cpu(score: Score, *options: str, only_on_gpu: tuple[str, ...] = ()) -> None:
    """On a card the decoder rounds otherwise, so its rows are near those of the CPU, not equal."""
    by_gpu = score("gpu", "--device", "gpu", *options, *only_on_gpu)
    by_cpu = score("cpu", "--device", "cpu", *options)
    assert list(by_gpu["status"]) == list(by_cpu["status"])
    fine = by_gpu["status"] == "ok"
    assert fine.sum() == 10
    assert by_gpu["backend"][fine].str.startswith("tensorrt-").all()
    assert set(by_gpu["decoder"][fine]) == {"dali-gpu"}
    apart = by_gpu.loc[fine, PROBABILITIES] - by_cpu.loc[fine, PROBABILITIES]
    assert np.abs(apart.to_numpy()).max() < 0.1


CHECKS = [check_rows, check_views, check_half]


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.usefixtures("host_gpus")
def test_a_gpu_of_host_memory_scores_as_the_cpu(
    score: Score, check: Callable[[Score], None]
) -> None:
    check(score)


@pytest.mark.gpu
@pytest.mark.parametrize("check", CHECKS)
def test_a_real_gpu_scores_as_the_cpu(
    score: Score, check: Callable[[Score], None], tiny_engine: Path
) -> None:
    real_backend(tiny_engine).close()
    check(score)


@pytest.mark.usefixtures("host_gpus")
def test_views_on_a_gpu_are_those_of_the_cpu(score: Score) -> None:
    by_gpu = score("gpu", "--device", "gpu", "--tta", "8")[PROBABILITIES].to_numpy()
    by_cpu = score("cpu", "--device", "cpu", "--tta", "8")[PROBABILITIES].to_numpy()
    assert np.array_equal(by_gpu, by_cpu, equal_nan=True)
