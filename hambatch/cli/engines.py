"""`hambatch engines`: what is installed, what it is, whether it is intact."""

import json

import click

from hambatch.config import ScoreOptions

DEFAULT = ScoreOptions().engine


@click.group(context_settings={"show_default": True})
def engines() -> None:
    """List, show and verify engines."""


@engines.command("list")
def list_engines() -> None:
    """List the installed engines, one a line: name, version, precisions, folder."""
    from hambatch.engines.reporting import engine_lines

    click.echo("\n".join(engine_lines()))


@engines.command()
@click.argument("engine", default=DEFAULT)
def show(engine: str) -> None:
    """Print the engine.json of ENGINE, a name or a folder."""
    from hambatch.engines.manifest import read_manifest
    from hambatch.engines.store import find_engine

    click.echo(json.dumps(read_manifest(find_engine(engine)).to_json(), indent=2))


@engines.command()
@click.argument("engine", default=DEFAULT)
def verify(engine: str) -> None:
    """Hash every file of ENGINE, load its graphs, and check them against engine.json."""
    from hambatch.engines.reporting import verify_engine
    from hambatch.engines.store import find_engine

    click.echo(verify_engine(find_engine(engine)))
