"""Which images are measured with."""

import tarfile
import zipfile
from pathlib import Path

import pytest

from hambatch.bench.images import open_images
from hambatch.bench.whole_run import Whole
from hambatch.errors import InputError
from hambatch.pipelines.header import read_header
from hambatch.scoring.options import ScoreOptions
from hambatch.sources.reading import fetch


def test_generated_images_are_of_the_size_of_ham10000_and_go_round() -> None:
    with open_images([], 3, ScoreOptions()) as images:
        assert images.facts["generated"]
        contents = [images.sources.path_of(entry).read_bytes() for entry in images.entries]
        assert len(set(contents)) == 3
        headers = [read_header(content) for content in contents]
        assert {(h.width, h.height) for h in headers if h} == {(600, 450)}
        batches = images.batches(7, 4)
        assert [len(batch) for batch in batches] == [4, 3]
        items = [item for batch in batches for item in batch]
        assert [item.index for item in items] == list(range(7))
        assert items[0].path == items[3].path == items[6].path
    assert not items[0].path.exists()


def test_an_empty_folder_says_what_to_do(tmp_path: Path) -> None:
    with (
        pytest.raises(InputError, match=r"it is empty(.|\n)*Next: .*hambatch samples"),
        open_images([tmp_path], 3, ScoreOptions()),
    ):
        pass


def test_a_folder_of_broken_files_says_what_to_do(tmp_path: Path, tiny_engine: Path) -> None:
    (tmp_path / "a.jpg").write_text("no picture")
    with (
        pytest.raises(InputError, match=r"none of the 1 images(.|\n)*Next: hambatch score"),
        open_images([tmp_path], 3, ScoreOptions(engine=str(tiny_engine))),
    ):
        pass


def test_members_of_archives_are_measured_like_files(
    bench_folder: Path, tiny_engine: Path, tmp_path: Path
) -> None:
    with zipfile.ZipFile(tmp_path / "scans.zip", "w") as scans:
        for path in sorted(bench_folder.iterdir()):
            scans.write(path, path.name)
    with tarfile.open(tmp_path / "more.tar.gz", "w:gz") as more:
        more.add(bench_folder / "good_5.jpg", "b.jpg")
        more.add(bench_folder / "good_4.jpg", "a.jpg")
    options = ScoreOptions.on_cpu(engine=str(tiny_engine), batch_size=4)
    words = [tmp_path / "scans.zip", tmp_path / "more.tar.gz"]
    with open_images(words, 100, options) as images:
        assert (images.facts["images"], images.facts["left_out"]) == (8, 2)
        assert images.facts["megapixels_median"] == 0.27
        fetched = [fetch(item) for batch in images.batches(10, 4) for item in batch]
        # What is compressed as a whole is read from its front.
        wanted = [f"good_{k}.jpg" for k in (0, 1, 2, 3, 4, 5, 5, 4, 0, 1)]
        assert [file.content for file in fetched] == [
            (bench_folder / name).read_bytes() for name in wanted
        ]
        whole = Whole(tiny_engine, images.sources, images.cycle(10), options, images.scratch)
        assert whole.load().turn().images == 10
