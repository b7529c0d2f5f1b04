"""Every combination of decoding settings is measured once."""

from pathlib import Path

import pytest

from hambatch.bench.images import BenchImages
from hambatch.bench.options import BenchPipelineOptions
from hambatch.bench.pipeline import cases_of
from hambatch.sources.entry import Entry
from hambatch.sources.source import folder_of_images


@pytest.mark.parametrize(
    ("gpu", "loads"), [(None, [""]), (0, [", hw_decoder_load 1", ", hw_decoder_load 0.5"])]
)
def test_the_load_of_the_jpeg_engine_is_swept_on_a_gpu_only(
    gpu: int | None, loads: list[str]
) -> None:
    images = BenchImages(folder_of_images(Path("images")), (Entry("a.jpg"),), Path("scratch"), {})
    options = BenchPipelineOptions(
        batch_size=(2, 4), decode_threads=(1, 2), hw_decoder_load=(1.0, 0.5), count=5
    )
    read, *decode = cases_of(Path("engine"), images, options, gpu)
    decoder = "dali-cpu" if gpu is None else "dali-gpu"
    assert read.name == "read, 2 readers"
    assert [case.name for case in decode] == [
        f"{decoder}, batch {size}, {threads}{load}"
        for size in (2, 4)
        for threads in ("1 decode thread", "2 decode threads")
        for load in loads
    ]
