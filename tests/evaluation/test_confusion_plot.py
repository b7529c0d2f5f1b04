import sys

import numpy as np
import pytest
from PIL import Image

from hambatch.errors import InputError
from hambatch.evaluation.plots import plot_confusion


def test_the_picture_shows_the_matrix(tmp_path):
    path = tmp_path / "confusion.png"
    plot_confusion(np.eye(7, dtype=int) * 50, path, "perfect, $not math")
    perfect = np.asarray(Image.open(path).convert("RGB")).astype(int)
    plot_confusion([[1] * 7] * 7, path, "perfect, $not math")
    uniform = np.asarray(Image.open(path).convert("RGB")).astype(int)
    assert perfect.shape == uniform.shape == (870, 1050, 3)
    assert np.abs(perfect - uniform).max() > 100
    assert [p.name for p in tmp_path.iterdir()] == ["confusion.png"]


def test_classes_without_images_are_drawn(tmp_path):
    plot_confusion(np.zeros((7, 7), int), tmp_path / "none.png", "no images")
    assert (tmp_path / "none.png").stat().st_size > 0


def test_it_does_without_pyplot(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)  # an import would raise
    plot_confusion(np.eye(7, dtype=int), tmp_path / "confusion.png", "")


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(InputError, match="cannot write"):
        plot_confusion(np.eye(7, dtype=int), tmp_path / "absent" / "confusion.png", "")
