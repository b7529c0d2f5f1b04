"""The sources of a finished run are found again by its record, or else asked for."""

import os
from pathlib import Path

import pytest

from hambatch.errors import InputError
from hambatch.scoring.options import ScoreOptions
from hambatch.scoring.plan import sources_of
from hambatch.scoring.recorded_sources import recorded_sources
from hambatch.sources.source import Kind
from tests.conftest import jpeg_bytes

OPTIONS = ScoreOptions(archives=True, max_ratio=7.0)

ASKS = r"\nNext: add --source SOURCE"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Two folders of one name, with bytes in it that are no UTF-8, and an image."""
    name = os.fsdecode(b"caf\xe9%")
    for above in ("one", "two"):
        (tmp_path / above / name).mkdir(parents=True)
        (tmp_path / above / name / "a.jpg").write_bytes(jpeg_bytes(1))
    (tmp_path / "list.csv").write_text("image\none.jpg\n")
    return tmp_path


def test_what_was_recorded_is_found_as_it_was(place: Path) -> None:
    one, two = (*place.glob("one/*"), *place.glob("two/*"))
    for words in ([one], [one / "a.jpg"], [place / "*" / "*.jpg", place / "list.csv", two, one]):
        sources = sources_of(words, OPTIONS)
        assert recorded_sources({"source": sources.recorded}, OPTIONS) == sources
        assert (sources.archives, sources.max_ratio) == (True, 7.0)


def test_words_go_before_the_record(place: Path) -> None:
    found = recorded_sources({"source": "/gone"}, OPTIONS, [place / "list.csv"])
    assert [part.kind for part in found.parts] == [Kind.MANIFEST]


@pytest.mark.parametrize("source", ["/gone", ["/", "/gone"], None, [], "", "/-"])
def test_what_is_gone_or_came_on_stdin_is_asked_for(source: object) -> None:
    with pytest.raises(InputError, match=ASKS):
        recorded_sources({"source": source}, OPTIONS)
