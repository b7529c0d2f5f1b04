import os
import tarfile
import zipfile
from pathlib import Path

import pandas as pd
import pytest

from hambatch.errors import InputError
from hambatch.evaluation.image_files import files_in
from hambatch.sources.reading import fetch
from hambatch.system.files import sha256_of_bytes


def test_a_fifo_with_the_name_of_an_image_is_never_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.jpg")
    (tmp_path / "b.jpg").write_bytes(b"an image")
    images = pd.DataFrame({"image_id": ["a", "b"], "sha256": ["", ""]})
    images = images.assign(file_id=images["image_id"], path=images["image_id"] + ".jpg")
    found, files = files_in(images, [tmp_path])
    assert [item.path for item in files.values()] == [tmp_path / "b.jpg"]
    assert found["sha256"].tolist() == ["", *files]


def test_members_of_archives_are_found_by_id_and_by_bytes(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "scans.zip", "w") as scans:
        scans.writestr("x/a.jpg", b"\xff\xd8 a")
        scans.writestr("b.jpg", b"\xff\xd8 another b")
    with tarfile.open(tmp_path / "more.tar.gz", "w:gz") as more:
        for name in ("c.jpg", "b.jpg"):
            (tmp_path / "file").write_bytes(f"\xff\xd8 {name}".encode("latin-1"))
            more.add(tmp_path / "file", name)
    b = sha256_of_bytes(b"\xff\xd8 b.jpg")
    images = pd.DataFrame({"image_id": ["a", "b", "c", "d"], "sha256": ["", b, "", ""]})
    words = [tmp_path / "scans.zip", tmp_path / "more.tar.gz"]
    images = images.assign(file_id=images["image_id"], path=images["image_id"] + ".jpg")
    found, files = files_in(images, words)
    assert found["sha256"].tolist()[1::2] == [b, ""]
    # In the order in which the archives are read.
    contents = [b"\xff\xd8 a", b"\xff\xd8 c.jpg", b"\xff\xd8 b.jpg"]
    assert [fetch(item).content for item in files.values()] == contents
    assert list(files) == list(map(sha256_of_bytes, contents))
    with pytest.raises(InputError, match=r"found none of the 1 evaluated(.|\n)*--images for each"):
        files_in(images.iloc[3:], words)


def test_images_of_one_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    for patient in ("P1", "P2"):
        (tmp_path / patient).mkdir()
        (tmp_path / patient / "1.jpg").write_bytes(b"\xff\xd8 " + patient.encode())
    paths = ["P2/1.jpg", "P1/1.jpg"]
    images = pd.DataFrame({"image_id": paths, "file_id": "1", "path": paths, "sha256": ""})
    found, _ = files_in(images, [tmp_path])
    wanted = [sha256_of_bytes((tmp_path / path).read_bytes()) for path in paths]
    assert found["sha256"].tolist() == wanted
