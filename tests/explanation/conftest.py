"""An engine that can be explained, and one explained folder, made once."""

from pathlib import Path
from typing import NamedTuple

import pytest

from hambatch.explanation.explain import Outcome, explain
from hambatch.explanation.options import ExplainOptions
from hambatch.explanation.selection import named_images
from hambatch.scoring.options import ScoreOptions
from hambatch.scoring.run import score
from tests.conftest import jpeg_bytes, png_bytes
from tests.explanation.made_engine import make_engine


class Explained(NamedTuple):
    """A folder of `images`, their table in FP32, and what was written of four of them."""

    images: Path
    table: Path
    out: Path
    outcome: Outcome


@pytest.fixture(scope="session")
def headed_engine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_engine(tmp_path_factory.mktemp("engines") / "headed")


@pytest.fixture(scope="session")
def scored(headed_engine: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve pictures, one of them turned by EXIF, and a broken one beside; their table."""
    place = tmp_path_factory.mktemp("scored")
    (place / "images" / "a").mkdir(parents=True)
    for k in range(10):
        (place / "images" / "a" / f"picture_{k}.jpg").write_bytes(jpeg_bytes(k, 96, 72))
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0"
    (place / "images" / "turned.jpg").write_bytes(jpeg_bytes(50, 96, 72, exif=exif))
    (place / "images" / "last.png").write_bytes(png_bytes(99, 120, 40))
    (place / "images" / "broken.jpg").write_bytes(jpeg_bytes(1)[:700])
    options = ScoreOptions.on_cpu(engine=str(headed_engine), precision="fp32")
    score([place / "images"], place / "preds.csv", "csv", options)
    return place


@pytest.fixture(scope="session")
def explained(scored: Path, headed_engine: Path) -> Explained:
    images, out = scored / "images", scored / "named"
    names = ("a/picture_3.jpg", "broken.jpg", "turned.jpg", "last.png", "gone.jpg")
    options = ExplainOptions(engine=str(headed_engine))
    selection = named_images([images / name for name in names], options)
    return Explained(images, scored / "preds.csv", out, explain(selection, out, options))
