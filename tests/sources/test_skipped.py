"""The folders that are not scored are those that docs/output.md lists."""

import re

from hambatch.sources import skipped
from hambatch.sources.skipped import known_file, known_folder
from tests.conftest import REPOSITORY


def test_the_documentation_lists_every_name_under_what_it_holds() -> None:
    text = (REPOSITORY / "docs" / "output.md").read_text(encoding="utf-8")
    part = text[text.index("### Folders that are not scored") : text.index("## The table")]
    documented = {}
    for what, names in re.findall(r"^\| ([a-z ]+) \| (`.*) \|$", part, re.MULTILINE):
        documented |= dict.fromkeys(re.findall(r"`([^`]+)`", names), what)
    assert len(documented) > 40
    for name, what in documented.items():
        example = name.replace("*", f"{'0' * 16}-x.jpg" if "trashed" in name else "0" * 16)
        known = known_folder(example) or known_file(example)
        assert known is not None, name
        assert known.what == what
    lowered = {name.lower() for name in documented}
    assert lowered >= {name.lower() for name in (*skipped._EXACT, *skipped._ANY_CASE)}
