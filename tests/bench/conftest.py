"""Results measured once on a handful of images with the tiny engine."""

from pathlib import Path
from typing import Any

import pytest

from hambatch.bench.engine import bench_engine
from hambatch.bench.options import BenchEngineOptions, BenchPipelineOptions, BenchScoreOptions
from hambatch.bench.pipeline import bench_pipeline
from hambatch.bench.score import bench_score
from tests.conftest import jpeg_bytes

SAMPLES = 46


@pytest.fixture(scope="session")
def bench_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six good JPEGs and two broken ones among them."""
    folder = tmp_path_factory.mktemp("bench") / "images"
    folder.mkdir()
    for k in range(6):
        (folder / f"good_{k}.jpg").write_bytes(jpeg_bytes(k, width=600, height=450))
    (folder / "empty.jpg").touch()
    (folder / "good_2_cut.jpg").write_bytes(jpeg_bytes(9)[:300])
    return folder


@pytest.fixture(scope="session")
def engine_result(bench_folder: Path, tiny_engine: Path) -> dict[str, Any]:
    """Two batch sizes in two streams of two threads, three repeats."""
    options = BenchEngineOptions(
        engine=str(tiny_engine),
        batch_size=(1, 4),
        streams=(2,),
        threads=(2,),
        repeats=3,
        count=10,
        percentile=90.0,
        samples=SAMPLES,
    )
    return bench_engine([bench_folder], options)


@pytest.fixture(scope="session")
def pipeline_result(bench_folder: Path, tiny_engine: Path) -> dict[str, Any]:
    """Two batch sizes, two repeats."""
    options = BenchPipelineOptions(
        engine=str(tiny_engine), batch_size=(2, 4), decode_threads=(2,), repeats=2, count=10
    )
    return bench_pipeline([bench_folder], options)


@pytest.fixture(scope="session")
def score_result(bench_folder: Path, tiny_engine: Path) -> dict[str, Any]:
    """A run of ten images in batches of four, two repeats."""
    options = BenchScoreOptions(engine=str(tiny_engine), batch_size=4, repeats=2, count=10)
    return bench_score([bench_folder], options)
