"""A listing is sorted as the output is, and compared with an earlier one."""

from pathlib import Path

from hambatch.sources.listing import Changes, compare, store


def test_names_are_sorted_as_they_are_written_in_the_output(tmp_path: Path) -> None:
    names = ["b", "a%20", "\udcff", "ünï", "=1", "Z", "a/b", "a b", "\U0001f600", "\uffff"]
    listing = store(names, tmp_path / "listing")
    assert sorted(listing) == sorted(names)
    lines = listing.path.read_text(encoding="utf-8").split("\n")[:-1]
    assert lines == sorted(lines)
    assert listing.count == len(names)


def test_what_came_and_went_between_two_listings_is_counted(tmp_path: Path) -> None:
    before = store(["a", "b", "c", "d"], tmp_path / "before")
    after = store(["b", "d", "e"], tmp_path / "after")
    assert compare(before, after) == Changes(added=1, gone=2, added_names=["e"])
    assert compare(before, before) == Changes()
