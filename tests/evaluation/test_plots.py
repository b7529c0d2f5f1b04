"""Plots show what the report has, and are drawn without pyplot."""

import io
import sys

import numpy as np
from PIL import Image

from hambatch.evaluation.plots import confusion_png


def test_the_plot_shows_the_matrix():
    images = []
    for matrix in (np.eye(7, dtype=int) * 50, [[1] * 7] * 7):
        with Image.open(io.BytesIO(confusion_png(matrix, "perfect, $not math"))) as image:
            images.append(np.asarray(image.convert("RGB")).astype(int))
    perfect, uniform = images
    assert perfect.shape == uniform.shape == (870, 1050, 3)
    assert np.abs(perfect - uniform).max() > 100


def test_classes_without_images_are_drawn_and_pyplot_is_not_needed(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)  # an import would raise
    assert confusion_png(np.zeros((7, 7), int), "no images")
