"""Which images are measured with."""

from pathlib import Path

import pytest

from hambatch.bench.images import open_images
from hambatch.errors import InputError
from hambatch.pipelines.header import read_header
from hambatch.score.options import ScoreOptions


def test_generated_images_are_of_the_size_of_ham10000_and_go_round() -> None:
    with open_images(None, 3, ScoreOptions()) as images:
        assert images.facts["generated"]
        contents = [(images.root / name).read_bytes() for name in images.names]
        assert len(set(contents)) == 3
        headers = [read_header(content) for content in contents]
        assert {(h.width, h.height) for h in headers if h} == {(600, 450)}
        batches = images.batches(7, 4)
        assert [len(batch) for batch in batches] == [4, 3]
        items = [item for batch in batches for item in batch]
        assert [item.index for item in items] == list(range(7))
        assert items[0].path == items[3].path == items[6].path
    assert not images.root.exists()


def test_an_empty_folder_says_what_to_do(tmp_path: Path) -> None:
    with (
        pytest.raises(InputError, match=r"it is empty(.|\n)*Next: .*hambatch samples"),
        open_images(tmp_path, 3, ScoreOptions()),
    ):
        pass


def test_a_folder_of_broken_files_says_what_to_do(tmp_path: Path, tiny_engine: Path) -> None:
    (tmp_path / "a.jpg").write_text("no picture")
    with (
        pytest.raises(InputError, match=r"none of the 1 images(.|\n)*Next: hambatch score"),
        open_images(tmp_path, 3, ScoreOptions(engine=str(tiny_engine))),
    ):
        pass
