"""A listing is sorted as the output is, and compared with an earlier one."""

from pathlib import Path

from hambatch.sources.entry import Entry
from hambatch.sources.listing import Changes, Listing, compare, store
from hambatch.sources.source import folder_of_images
from hambatch.system.text import encode_name


def stored(names: list[str], path: Path) -> Listing:
    entries = (Entry(encode_name(name)) for name in names)
    return store(entries, path, folder_of_images(path.parent))


def test_names_are_sorted_as_they_are_written_in_the_output(tmp_path: Path) -> None:
    names = ["b", "a%20", "\udcff", "ünï", "=1", "Z", "a/b", "a b", "\U0001f600", "\uffff"]
    listing = stored(names, tmp_path / "listing")
    assert sorted(listing) == sorted(names)
    lines = listing.path.read_text(encoding="utf-8").split("\n")[:-1]
    assert lines == sorted(lines)
    assert listing.count == len(names)


def test_a_second_row_of_one_name_finds_its_file_whatever_signs_are_in_the_path(
    tmp_path: Path,
) -> None:
    paths = ["wow!.jpg", "x.zip!/a=b, c.jpg", "=1.jpg", "a!b=c.jpg"]
    sources = folder_of_images(tmp_path)
    twice = (Entry(encode_name(path)) for path in (*paths, *paths))
    entries = list(store(twice, tmp_path / "listing", sources).entries())
    assert len(entries) == 2 * len(paths)
    found = sorted(str(sources.path_of(entry).relative_to(tmp_path)) for entry in entries)
    assert found == sorted([*paths, *paths])


def test_what_came_and_went_between_two_listings_is_counted(tmp_path: Path) -> None:
    before = stored(["a", "b", "c", "d"], tmp_path / "before")
    after = stored(["b", "d", "e"], tmp_path / "after")
    assert compare(before.encoded(), after.encoded()) == Changes(added=1, gone=2, added_names=["e"])
    assert compare(before.encoded(), before.encoded()) == Changes()
