import numpy as np
import pytest
from PIL import Image

from hambatch.engines.options import SampleOptions
from hambatch.engines.synthetic import synthesize, write_samples
from hambatch.errors import InputError


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_same_seed_writes_the_same_bytes(tmp_path):
    for name in ("one", "two"):
        write_samples(tmp_path / name, SampleOptions(count=3, seed=5))
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_another_seed_writes_other_pictures(tmp_path):
    for seed in (0, 1):
        write_samples(tmp_path / str(seed), SampleOptions(count=2, seed=seed))
    assert not set(contents(tmp_path / "0").values()) & set(contents(tmp_path / "1").values())


def test_a_larger_count_only_adds_pictures(tmp_path):
    write_samples(tmp_path / "few", SampleOptions(count=2))
    write_samples(tmp_path / "more", SampleOptions(count=3))
    assert contents(tmp_path / "few").items() < contents(tmp_path / "more").items()


def test_files_are_rgb_jpegs_named_in_order_and_returned(tmp_path):
    paths = write_samples(tmp_path / "new" / "folder", SampleOptions(count=2))
    assert [path.name for path in paths] == ["sample_00000.jpg", "sample_00001.jpg"]
    for path in paths:
        with Image.open(path) as image:
            image.load()
            assert (image.format, image.mode) == ("JPEG", "RGB")


def test_a_folder_with_other_files_is_refused_and_untouched(tmp_path):
    (tmp_path / "holiday.jpg").write_bytes(b"mine")
    with pytest.raises(InputError, match=r"holiday\.jpg.*\nNext: hambatch samples"):
        write_samples(tmp_path, SampleOptions(count=1))
    assert contents(tmp_path) == {"holiday.jpg": b"mine"}


def test_a_smaller_count_does_not_leave_stale_samples_among_the_new(tmp_path):
    write_samples(tmp_path, SampleOptions(count=2))
    with pytest.raises(InputError, match="sample_00001"):
        write_samples(tmp_path, SampleOptions(count=1))


def test_the_same_samples_can_be_written_again(tmp_path):
    write_samples(tmp_path, SampleOptions(count=1))
    (tmp_path / ".DS_Store").touch()
    write_samples(tmp_path, SampleOptions(count=2))


def test_a_path_that_is_a_file_is_refused_by_name(tmp_path):
    (tmp_path / "taken").touch()
    with pytest.raises(InputError, match=r"taken.*\n?Next"):
        write_samples(tmp_path / "taken", SampleOptions(count=1))


@pytest.mark.parametrize(("width", "height"), [(1, 1), (3, 40), (301, 200)])
def test_synthesize_draws_any_size(width, height):
    pixels = synthesize(np.random.default_rng(0), width, height)
    assert pixels.shape == (height, width, 3)
    assert pixels.dtype == np.uint8


def test_the_lesion_in_the_middle_is_darker_than_the_skin_around_it():
    darker = 0
    for seed in range(10):
        grey = synthesize(np.random.default_rng(seed), 120, 90).mean(axis=2)
        around = np.concatenate([grey[10:80, 8:14], grey[10:80, -14:-8]])
        darker += grey[35:55, 50:70].mean() < np.median(around)
    assert darker >= 8
