"""`benchmarks/degraded.py`: copies that keep names, sizes and what `evaluate` joins them by."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray
from PIL import Image

REPOSITORY = Path(__file__).parents[2]


def test_copies_are_blurred_dark_or_compressed_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(REPOSITORY / "benchmarks")
    from degraded import DEGRADED, main

    (tmp_path / "images" / "part_1").mkdir(parents=True)
    sharp = Image.fromarray(np.random.default_rng(0).integers(64, 192, (72, 96, 3), np.uint8))
    turned = Image.Exif()
    turned[0x0112] = 6
    sharp.save(tmp_path / "images" / "a.jpg", quality=95)
    sharp.save(tmp_path / "images" / "part_1" / "b.jpeg", exif=turned)
    done = CliRunner().invoke(main, [str(tmp_path / "images"), str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    for kind in DEGRADED:
        assert pixels(tmp_path / "out" / kind / "a.jpg").shape == (72, 96, 3)
        assert pixels(tmp_path / "out" / kind / "b.jpg").shape == (96, 72, 3), "turned upright"
    copies = [tmp_path / "out" / kind / "a.jpg" for kind in DEGRADED]
    before, (blur, dark, small) = pixels(tmp_path / "images" / "a.jpg"), map(pixels, copies)
    assert abs(dark.mean() / before.mean() - 0.5) < 0.01
    assert abs(blur.mean() / before.mean() - 1) < 0.01
    assert np.abs(np.diff(blur)).mean() < 0.9 * np.abs(np.diff(before)).mean()
    assert abs(small.mean() / before.mean() - 1) < 0.01
    sizes = [path.stat().st_size for path in copies]
    assert sizes[2] < 0.5 * min(sizes[:2])


def pixels(path: Path) -> NDArray[np.float64]:
    """RGB in rows of 0 to 255."""
    with Image.open(path) as image:
        return np.asarray(image, np.float64)
