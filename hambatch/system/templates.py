"""Templates of pages: jinja2, with every value escaped."""

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined


def render(package: str, template: str, **values: Any) -> str:
    """Fill in a template of the folder ``templates`` of a package, such as ``page.html``.

    Values are escaped as HTML; one that the template names and ``values`` lack is an error.
    """
    environment = Environment(
        loader=PackageLoader(package),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(template).render(values)
