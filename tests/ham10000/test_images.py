import os

import pytest

from hambatch.errors import InputError
from hambatch.ham10000.images import HIDDEN, NO_IMAGE, find_images, hash_images
from hambatch.system.files import sha256_of_bytes


def put(root, name, content=b"pixels"):
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def test_images_are_found_in_any_folder_and_in_either_case(tmp_path):
    put(tmp_path, "part_1/ISIC_2.jpg")
    put(tmp_path, "deep/er/ISIC_1.JPG")
    put(tmp_path, "part_1/._ISIC_2.jpg")
    put(tmp_path, "part_1/ISIC_3.txt")
    found = find_images(tmp_path)
    assert found.images == {"ISIC_1": ["deep/er/ISIC_1.JPG"], "ISIC_2": ["part_1/ISIC_2.jpg"]}
    assert found.left_out == {NO_IMAGE: ["part_1/ISIC_3.txt"], HIDDEN: ["part_1/._ISIC_2.jpg"]}


def test_a_linked_folder_is_read_once(tmp_path):
    put(tmp_path, "elsewhere/ISIC_1.jpg")
    root = tmp_path / "root"
    root.mkdir()
    for name in ("part_1", "part_1_again"):
        os.symlink(tmp_path / "elsewhere", root / name)
    os.symlink(root, root / "loop")
    assert find_images(root).images == {"ISIC_1": ["part_1/ISIC_1.jpg"]}


def test_kaggles_second_copy_of_an_image_is_taken_once(tmp_path):
    put(tmp_path, "HAM10000_images_part_1/ISIC_1.jpg")
    put(tmp_path, "ham10000_images_part_1/ISIC_1.jpg")
    images = hash_images(tmp_path, find_images(tmp_path).images)
    assert images["ISIC_1"] == (
        "HAM10000_images_part_1/ISIC_1.jpg",
        sha256_of_bytes(b"pixels"),
    )


def test_two_versions_of_an_image_are_refused_naming_both(tmp_path):
    put(tmp_path, "a/ISIC_1.jpg", b"one")
    put(tmp_path, "b/ISIC_1.jpg", b"two")
    with pytest.raises(InputError, match=r"a/ISIC_1\.jpg, b/ISIC_1\.jpg"):
        hash_images(tmp_path, find_images(tmp_path).images)


def test_a_deleted_version_of_an_image_is_passed_over(tmp_path):
    put(tmp_path, "a/ISIC_1.jpg", b"one")
    put(tmp_path, ".Trash-1000/files/ISIC_1.jpg", b"two")
    assert find_images(tmp_path).images == {"ISIC_1": ["a/ISIC_1.jpg"]}


def test_a_folder_without_images_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"no JPEG or PNG.*\nNext: unpack"):
        find_images(tmp_path)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    os.symlink(tmp_path / "gone", tmp_path / "ISIC_1.jpg")
    with pytest.raises(InputError, match=r"cannot read .*ISIC_1\.jpg: No such file"):
        hash_images(tmp_path, find_images(tmp_path).images)
