import json
from pathlib import Path

import pytest

from hambatch.engines.classes import CLASSES
from hambatch.errors import InputError
from hambatch.ham10000.leaks import check_leaks
from hambatch.ham10000.metadata import COLUMNS
from hambatch.ham10000.options import PrepareOptions
from hambatch.ham10000.prepare import prepare, summarize
from hambatch.ham10000.table import dataset_root, read_split, record_path
from tests.ham10000.images import COPIES, encoded, picture

REAL = Path(__file__).parents[3] / "shared" / "data" / "ham10000"


def image(number):
    return f"ISIC_{number:07d}"


@pytest.fixture
def download(tmp_path):
    """70 images, ten a class, of lesions with two images each; ISIC_0000000 is akiec."""
    root = tmp_path / "ham"
    lines = [",".join(COLUMNS)]
    for i in range(70):
        lines.append(f"HAM_{i // 2:07d},{image(i)},{CLASSES[i // 10]},histo,40.0,male,back")
        folder = root / f"HAM10000_images_part_{1 + i % 2}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{image(i)}.jpg").write_bytes(b"picture %d" % i)
    (root / "HAM10000_metadata.csv").write_text("\n".join(lines) + "\n")
    return root


def run(root, **options):
    out = root.parent / "split.csv"
    return prepare(root, out, PrepareOptions(**options), overwrite=True), out


def test_every_image_gets_one_row_that_points_to_its_file(download):
    record, out = run(download)
    table = read_split(out)
    assert list(table["image_id"]) == [image(i) for i in range(70)]
    assert all((dataset_root(out) / file).is_file() for file in table["file"])
    assert json.loads(out.with_name("split.csv.json").read_text()) == record
    assert record["seed"] == PrepareOptions.seed


def test_no_lesion_is_on_both_sides_and_every_class_is_on_all(download):
    table = read_split(run(download)[1])
    assert table.groupby("lesion_id")["split"].nunique().max() == 1
    assert (table.groupby("dx")["split"].nunique() == 3).all()


def put(root, i, content):
    (root / f"HAM10000_images_part_{1 + i % 2}" / f"{image(i)}.jpg").write_bytes(content)


def test_identical_bytes_and_near_duplicates_are_never_on_two_sides_whatever_the_seed(download):
    copies, twins = [0, 2, 5], [10, 12, 15, 19]  # of three lesions and of four
    for i, change in zip(copies, list(COPIES.values())[:3], strict=True):
        put(download, i, change(picture(0)))
    put(download, 9, encoded(picture(1)))
    for i in twins:
        put(download, i, b"same")
    for seed in range(8):
        record, out = run(download, seed=seed)
        table = read_split(out).set_index("image_id")
        for together in (copies, twins):
            assert table.loc[[image(i) for i in together], "split"].nunique() == 1
    assert record["identical"] == [[image(i) for i in twins]]
    assert record["near_duplicates"] == [[image(i), image(j)] for i, j in ((0, 2), (0, 5), (2, 5))]
    assert len(record["not_compared"]) == 70 - 4
    summary = summarize(record)
    assert " = ".join(image(i) for i in twins) in summary
    assert f"nearly the same image: 3 ({image(0)} = {image(2)}, " in summary


def test_nearly_the_same_picture_with_two_labels_is_refused(download):
    for i, change in zip((0, 68), COPIES.values(), strict=False):
        put(download, i, change(picture(0)))
    with pytest.raises(InputError, match=f"{image(0)} is akiec and {image(68)} is vasc"):
        run(download)


def test_identical_bytes_with_two_labels_are_refused(download):
    for i in (0, 68):
        put(download, i, b"same")
    with pytest.raises(InputError, match=f"{image(0)} is akiec, {image(68)} is vasc"):
        run(download)


def test_the_order_of_the_metadata_rows_does_not_change_a_byte(download):
    before = run(download)[1].read_bytes()
    header, *rows = (download / "HAM10000_metadata.csv").read_text().splitlines()
    (download / "HAM10000_metadata.csv").write_text("\n".join([header, *rows[::-1]]) + "\n")
    assert run(download)[1].read_bytes() == before


def test_rows_without_image_and_images_without_row_are_named_and_not_fatal(download):
    for i in range(0, 14, 2):
        (download / "HAM10000_images_part_1" / f"{image(i)}.jpg").unlink()
    (download / "ISIC_0099999.jpg").write_bytes(b"stray")
    record, out = run(download)
    assert record["rows_without_image"] == [image(i) for i in range(0, 14, 2)]
    assert record["images_without_row"] == ["ISIC_0099999"]
    assert len(read_split(out)) == 63
    named = ", ".join(image(i) for i in range(0, 10, 2))
    assert f"metadata rows without image: 7 ({named}, ...)" in summarize(record)
    assert "images without metadata row: 1 (ISIC_0099999)" in summarize(record)


def test_images_of_another_dataset_are_refused(download):
    for path in download.rglob("*.jpg"):
        path.rename(path.with_name(f"other_{path.name}"))
    with pytest.raises(InputError, match="begins with ISIC_0000000"):
        run(download)


def test_out_never_replaces_the_metadata(download):
    metadata = download / "HAM10000_metadata.csv"
    before = metadata.read_bytes()
    with pytest.raises(InputError, match="no split table"):
        prepare(download, metadata, PrepareOptions())
    assert metadata.read_bytes() == before


def test_another_split_is_replaced_only_if_asked_to(download):
    out = run(download, seed=0)[1]
    first, record = out.read_bytes(), record_path(out).read_bytes()
    prepare(download, out, PrepareOptions(seed=0))  # the same once more
    with pytest.raises(InputError, match=r"is another split(.|\n)*--overwrite"):
        prepare(download, out, PrepareOptions(seed=1))
    assert (out.read_bytes(), record_path(out).read_bytes()) == (first, record)
    assert run(download, seed=1)[1].read_bytes() != first


@pytest.mark.data
def test_the_real_download_splits_without_leaks_in_every_class(tmp_path):
    if not REAL.is_dir():
        pytest.skip(f"no HAM10000 images in {REAL}")
    record = prepare(REAL, tmp_path / "split.csv", PrepareOptions())
    table = read_split(tmp_path / "split.csv")
    check_leaks(table)
    assert len(table) > 6000
    for dx in CLASSES:
        lesions = {split: n["lesions"] for split, n in record["counts"][dx].items()}
        assert lesions["val"] / sum(lesions.values()) == pytest.approx(0.15, abs=0.01)
        assert lesions["test"] / sum(lesions.values()) == pytest.approx(0.15, abs=0.01)
