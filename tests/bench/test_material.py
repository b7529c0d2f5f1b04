"""Which images are measured with."""

from pathlib import Path

import pytest

from hambatch.backends.openvino_cpu import REQUEST_SIZE
from hambatch.bench.engine_bench import combinations, single_streams
from hambatch.bench.inference import Setting, open_backend
from hambatch.bench.material import open_material
from hambatch.bench.options import BenchEngineOptions
from hambatch.engines.loading import load_engine
from hambatch.errors import EngineError, InputError
from hambatch.pipelines.header import read_header
from hambatch.score.options import ScoreOptions
from hambatch.system.cpu import share_cores


def test_generated_images_are_of_the_size_of_ham10000_and_go_round() -> None:
    with open_material(None, 3, ScoreOptions()) as material:
        assert material.generated
        contents = [(material.root / name).read_bytes() for name in material.names]
        assert len(set(contents)) == 3
        headers = [read_header(content) for content in contents]
        assert {(h.width, h.height) for h in headers if h} == {(600, 450)}
        items = material.items(7)
        assert [item.index for item in items] == list(range(7))
        assert items[0].path == items[3].path == items[6].path
        groups = material.groups(7, 4)
        assert [len(group) for group in groups] == [4, 3]
    assert not material.root.exists()


def test_an_empty_folder_says_what_to_do(tmp_path: Path) -> None:
    with (
        pytest.raises(InputError, match=r"it is empty(.|\n)*Next: .*hambatch samples"),
        open_material(tmp_path, 3, ScoreOptions()),
    ):
        pass


def test_a_folder_of_broken_files_says_what_to_do(tmp_path: Path, tiny_engine: Path) -> None:
    (tmp_path / "a.jpg").write_text("no picture")
    with (
        pytest.raises(InputError, match=r"none of the 1 images(.|\n)*Next: hambatch score"),
        open_material(tmp_path, 3, ScoreOptions(engine=str(tiny_engine))),
    ):
        pass


def test_zero_means_what_score_uses(tiny_engine: Path) -> None:
    manifest = load_engine(tiny_engine).manifest
    (found,) = combinations(BenchEngineOptions(), manifest)
    assert found == Setting("openvino", "fp32", REQUEST_SIZE, share_cores().streams, 1)


def test_settings_that_come_to_the_same_are_measured_once(tiny_engine: Path) -> None:
    manifest = load_engine(tiny_engine).manifest
    options = BenchEngineOptions(
        batch_size=(0, REQUEST_SIZE, 2), streams=(1, 2), precision=("auto", "fp32")
    )
    found = combinations(options, manifest)
    sizes = [(4, 1), (4, 2), (2, 1), (2, 2)]
    assert [(s.batch_size, s.streams) for s in found] == sizes
    assert [(s.batch_size, s.streams) for s in single_streams(found)] == [(4, 1), (2, 1)]


def test_a_precision_that_the_engine_lacks_is_refused(tiny_engine: Path) -> None:
    with pytest.raises(EngineError, match="no int4 graph"):
        combinations(BenchEngineOptions(precision=("int4",)), load_engine(tiny_engine).manifest)


def test_a_backend_with_requests_of_its_own_refuses_others(tiny_engine: Path) -> None:
    with pytest.raises(InputError, match="keras backend has its own request_size"):
        open_backend(tiny_engine, Setting("keras", "fp32", 3, 1, 1))
