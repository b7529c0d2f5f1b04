"""A soft engine that is right about most validation images of its split table."""

from pathlib import Path

import pandas as pd
import pytest

from hambatch.engines.classes import CLASSES
from tests.faults.soft_engine import SecondOpinion, write_soft_engine
from tests.training.gate.conftest import split as split


@pytest.fixture
def engine(tmp_path: Path) -> Path:
    return write_soft_engine(tmp_path / "soft")


@pytest.fixture
def table(engine: Path, split: Path) -> Path:
    """The split table whose diagnoses are the engine's own, but for every third image."""
    rows = pd.read_csv(split, dtype=str, keep_default_na=False)
    opinion, root = SecondOpinion(engine), split.parent / "ham"
    for k, place in enumerate(rows.index[rows["split"] == "val"]):
        found = opinion.of((root / rows["file"][place]).read_bytes())
        assert found is not None
        if k % 3:
            rows.loc[place, "dx"] = CLASSES[int(found.argmax())]
    rows.to_csv(split, index=False)
    return split
