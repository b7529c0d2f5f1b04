"""Draw docs/score.svg: what a terminal shows of the README's first run. Needs `pip install rich`.

python tools/terminal_picture.py docs/score.svg
"""

import io
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

COMMANDS = (
    "hambatch samples samples",
    "hambatch score samples --out preds.csv",
    "cut -d, -f1-4,9,12-14 preds.csv | head -6",
    "hambatch verify preds.csv samples",
)
WIDTH = 110


def main() -> None:
    """Run the commands in an empty folder and write the picture."""
    console = Console(record=True, width=WIDTH, file=io.StringIO())
    with tempfile.TemporaryDirectory() as folder:
        for command in COMMANDS:
            line = command.replace("hambatch", f"{sys.executable} -m hambatch", 1)
            shown = line if command.startswith("hambatch") else command
            done = subprocess.run(  # noqa: S602
                shown, shell=True, cwd=folder, capture_output=True, text=True, check=True
            )
            console.print(Text.assemble(("$ ", "bold green"), (command, "bold")))
            console.print(Text((done.stdout + done.stderr).strip() + "\n"))
    # Nothing is fetched for it: the reader's own monospaced font will do.
    picture = re.sub(
        r"@font-face \{.*?\}\s*", "", console.export_svg(title="hambatch"), flags=re.DOTALL
    )
    Path(sys.argv[1]).write_text(picture, encoding="utf-8")


if __name__ == "__main__":
    main()
