"""A split table, and an engine that was trained with it."""

import json
import shutil

import pytest

from hambatch.engines.loading import find_engine
from hambatch.engines.manifest import TRAINING_IMAGES
from hambatch.engines.options import DEFAULT_ENGINE
from hambatch.system.files import sha256_of_file
from tests.engine_json import rewrite
from tests.evaluation.tables import split_table


@pytest.fixture
def data(tmp_path):
    return split_table(tmp_path / "split.csv")


@pytest.fixture
def engine(tmp_path, data):
    """An engine whose card says that it was trained with ``data``."""
    folder = tmp_path / "engine"
    folder.mkdir()
    shutil.copy(find_engine(DEFAULT_ENGINE) / "engine.json", folder)
    raw = json.loads((folder / "engine.json").read_text())
    raw["data"]["split_sha256"] = sha256_of_file(data)
    # And with no other source.
    raw["data"].pop("extra", None)
    # The list of the training images stays where it was.
    del raw["files"][TRAINING_IMAGES]
    rewrite(folder / "engine.json", raw)
    return folder


@pytest.fixture
def table(tmp_path):
    def write(*lines):
        path = tmp_path / "table.csv"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    return write
