"""A glob finds every image of what it matches, once, and says what it did not enter."""

from pathlib import Path

import pytest

from hambatch.sources.folder import Survey
from hambatch.sources.images import images_in
from hambatch.sources.source import find_sources

ALL = ["2023/c.jpg", "2023/night_1/a.jpg", "2023/night_1/sub/b.jpg", "night_2/night_d.jpg"]


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    root = tmp_path / "archive"
    for name in (
        "2023/night_1/a.jpg",
        "2023/night_1/sub/b.jpg",
        "2023/c.jpg",
        "night_2/night_d.jpg",
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"\xff\xd8\xff")
    return root


def found(
    pattern: str, *, follow_symlinks: bool = False, leave: tuple[Path, ...] = ()
) -> tuple[list[str], Survey]:
    survey, sources = Survey(), find_sources([Path(pattern)], follow_symlinks=follow_symlinks)
    return sorted(entry.name for entry in images_in(sources, survey, leave=leave)), survey


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("**/night_*", ALL[1:]),
        ("**", ALL),
        ("**/*", ALL),
        ("**/*.jpg", ALL),
        ("**/n*/**/*.jpg", ALL[1:]),
        ("*", ALL),
        ("*/c.jpg", ALL[:1]),
        ("20*/night_[12]/*", ALL[1:3]),
    ],
)
def test_every_image_of_a_match_is_found_once(
    archive: Path, pattern: str, names: list[str]
) -> None:
    assert found(f"{archive}/{pattern}")[0] == names


def test_links_to_folders_give_no_image_twice_and_no_endless_search(archive: Path) -> None:
    for name in ("loop_1", "loop_2", "2023/loop_3"):
        (archive / name).symlink_to(archive)
    for pattern in ("**/*.jpg", "*"):
        names, survey = found(f"{archive}/{pattern}")
        assert names == ALL
        assert survey.links_left.names == ["2023/loop_3", "loop_1", "loop_2"]
    names, _ = found(f"{archive}/**/*.jpg", follow_symlinks=True)
    assert len(names) == len(ALL)


def test_thumbnails_and_what_a_run_writes_are_counted_only(archive: Path) -> None:
    for name in ("2023/@eaDir/t.jpg", "@eaDir/t.jpg", "p.csv.journal/s.jpg", "p.csv"):
        (archive / name).parent.mkdir(exist_ok=True)
        (archive / name).write_bytes(b"\xff\xd8\xff")
    own = (archive / "p.csv.journal", archive / "p.csv")
    for pattern in ("**/*", "**", "*"):
        names, survey = found(f"{archive}/{pattern}", leave=own)
        assert names == ALL
        assert survey.others.names == ["p.csv", "p.csv.journal"]
        assert survey.skipped["@eaDir"].folders == 2
