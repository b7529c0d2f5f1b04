import os
from pathlib import Path

import pandas as pd

from hambatch.evaluation.image_files import files_in


def test_a_fifo_with_the_name_of_an_image_is_never_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.jpg")
    (tmp_path / "b.jpg").write_bytes(b"an image")
    images = pd.DataFrame({"image_id": ["a", "b"], "sha256": ["", ""]})
    found, files = files_in(images, tmp_path)
    assert list(files.values()) == [tmp_path / "b.jpg"]
    assert found["sha256"].tolist() == ["", *files]
