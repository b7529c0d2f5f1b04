"""A split table of synthetic images, of which only the validation side can be opened."""

import json
from pathlib import Path

import pandas as pd
import pytest

from hambatch.engines.classes import CLASSES
from hambatch.ham10000.table import COLUMNS
from hambatch.system.files import sha256_of_file
from tests.conftest import jpeg_bytes


@pytest.fixture
def split(tmp_path: Path) -> Path:
    return write_split(tmp_path)


def write_split(place: Path) -> Path:
    """Twenty-one validation images of fourteen lesions, three of each class."""
    root = place / "ham"
    root.mkdir()
    rows = []
    for k in range(63):
        side, dx = ("val", "train", "test")[k // 21], CLASSES[k % 7]
        path = root / f"image_{k:02d}.jpg"
        path.write_bytes(jpeg_bytes(k))
        values = dict.fromkeys(COLUMNS, "")
        values |= {"image_id": path.stem, "dx": dx, "file": path.name, "split": side}
        # The first two photographs of a class are of one lesion.
        lesion = f"{side}_{dx}_{k % 21 // 14}"
        rows.append({**values, "lesion_id": lesion, "sha256": sha256_of_file(path)})
        if side != "val":
            path.unlink()
    table = place / "split.csv"
    pd.DataFrame(rows).to_csv(table, index=False)
    (place / "split.csv.json").write_text(json.dumps({"root": str(root)}))
    return table
