"""Pieces of the HTML page; every text that goes through here is escaped."""

from base64 import b64encode
from collections.abc import Iterable, Sequence
from html import escape

STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; color: #1b1f24; background: #fff;
       max-width: 68rem; margin: 0 auto; padding: 1rem; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; line-height: 1.2; margin: .5rem 0; }
h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; border-bottom: 1px solid #d0d7de; }
h3 { font-size: 1rem; margin: 1.2rem 0 .3rem; }
.note { border-left: 4px solid #08306b; background: #f2f6fb; padding: .5rem .8rem;
        margin: .8rem 0; }
.warning { border-left-color: #d95f02; background: #fdf3ec; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .5rem; text-align: right; border-bottom: 1px solid #e3e7eb;
         vertical-align: top; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
td small { display: block; color: #57606a; }
td:first-child small { white-space: normal; min-width: 7rem; max-width: 12rem; }
tr.small td { color: #8a5a00; }
figure { margin: 1rem 0; }
img { width: 100%; max-width: 42rem; height: auto; }
figcaption, .quiet { color: #57606a; font-size: .85rem; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; margin: .5rem 0; }
dt { color: #57606a; }
dd { margin: 0; }
@media (max-width: 40rem) {
  dl { display: block; } dd { margin: 0 0 .5rem; }
  table { font-size: .85rem; } th, td { padding: .25rem .3rem; }
}
"""


def document(title: str, body: Iterable[str]) -> str:
    """Give a whole page: no script, nothing from elsewhere."""
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f"<h1>{escape(title)}</h1>\n" + "\n".join(body) + "\n</body>\n</html>\n"
    )


def section(title: str, *parts: str) -> str:
    """Put parts below a heading; nothing where there are none."""
    return f"<h2>{escape(title)}</h2>\n" + "\n".join(parts)


def heading(text: str) -> str:
    """Write a heading within a section."""
    return f"<h3>{escape(text)}</h3>"


def paragraph(text: str, kind: str = "quiet") -> str:
    """Write a paragraph; ``kind`` is ``quiet``, ``note`` or ``note warning``."""
    return f'<p class="{kind}">{escape(text)}</p>'


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """List names and what they are."""
    return (
        "<dl>"
        + "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in pairs)
        + "</dl>"
    )


def picture(png: bytes, alt: str, caption: str) -> str:
    """Show a picture that the page itself holds."""
    source = "data:image/png;base64," + b64encode(png).decode("ascii")
    return (
        f'<figure><img src="{source}" alt="{escape(alt)}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def table(header: Sequence[str], rows: Iterable[Sequence[str]], small: Sequence[bool] = ()) -> str:
    """Lay out cells; what follows a line break in a cell is shown small below it.

    Parameters
    ----------
    small
        Which rows are of too few images, for their colour.
    """
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    lines = []
    for k, row in enumerate(rows):
        marked = ' class="small"' if k < len(small) and small[k] else ""
        lines.append(f"<tr{marked}>" + "".join(map(_cell, row)) + "</tr>")
    return (
        f'<div class="wide"><table><thead><tr>{head}</tr></thead>\n<tbody>'
        + "\n".join(lines)
        + "</tbody></table></div>"
    )


def _cell(text: str) -> str:
    value, _, below = text.partition("\n")
    return f"<td>{escape(value)}{f'<small>{escape(below)}</small>' if below else ''}</td>"
