"""Pages are filled in from a package's templates; what a value holds is never markup."""

from importlib import invalidate_caches
from pathlib import Path

import pytest
from jinja2 import UndefinedError

from hambatch.system.templates import render


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    folder = tmp_path / "paged" / "templates"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").touch()
    (folder / "page.html").write_text("<p>{{ text }}</p>\n")
    monkeypatch.syspath_prepend(tmp_path)
    invalidate_caches()
    return "paged"


def test_values_are_escaped(package: str) -> None:
    assert render(package, "page.html", text="<b>&") == "<p>&lt;b&gt;&amp;</p>\n"


def test_a_value_that_is_not_given_is_an_error(package: str) -> None:
    with pytest.raises(UndefinedError, match="'text' is undefined"):
        render(package, "page.html", other="")
