"""Values are escaped in pages, not in Markdown; a value that is missing is an error."""

from pathlib import Path

import pytest
from jinja2 import UndefinedError

from hambatch.system.templates import render


@pytest.mark.parametrize(
    ("name", "text"), [("page.html", "&lt;b&gt;\n"), ("card.md.jinja", "<b>\n")]
)
def test_html_is_escaped_and_markdown_is_not(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text("{{ value }}\n")
    assert render(tmp_path / name, value="<b>") == text
    with pytest.raises(UndefinedError, match="value"):
        render(tmp_path / name)
