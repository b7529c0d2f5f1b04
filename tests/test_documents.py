"""Documents lead somewhere: links, anchors and the files that they name exist."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

DOCUMENTS = sorted([*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/*.md")])

LINK = re.compile(r"\]\(([^)#\s]*)(?:#([^)\s]+))?\)")
FILE = re.compile(r"`((?:[a-z0-9_]+/)+[a-z0-9_]+\.(?:py|html|md|json|c))`")


def anchors(document: Path) -> Iterator[str]:
    """The anchors that GitHub gives headings, and those that are written out."""
    text = document.read_text(encoding="utf-8")
    for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE):
        yield re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")
    yield from re.findall(r'<a id="([^"]+)"', text)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_to_a_file_and_a_heading(document: Path) -> None:
    for target, anchor in LINK.findall(document.read_text(encoding="utf-8")):
        if "://" in target:
            continue
        path = document.parent / target if target else document
        assert path.exists(), target
        if anchor and path.suffix == ".md":
            assert anchor in set(anchors(path)), f"{target}#{anchor}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_files_that_are_named_exist(document: Path) -> None:
    roots = (REPOSITORY, REPOSITORY / "hambatch", REPOSITORY / "benchmarks", document.parent)
    missing = [
        name
        for name in FILE.findall(document.read_text(encoding="utf-8"))
        if not any((root / name).exists() for root in roots)
    ]
    assert missing == []


def test_the_readme_stays_short() -> None:
    assert len((REPOSITORY / "README.md").read_text(encoding="utf-8").splitlines()) < 150
