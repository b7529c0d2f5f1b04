"""Text from jinja2 templates, which lie beside the module that fills them in."""

from pathlib import Path
from typing import Any


def render(template: Path, **values: Any) -> str:
    """Fill in a template; values are escaped as HTML, but for Markdown (``NAME.md.jinja``)."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

    environment = Environment(
        loader=FileSystemLoader(template.parent),
        autoescape=select_autoescape(disabled_extensions=("md.jinja",), default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(template.name).render(values)
