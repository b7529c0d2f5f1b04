"""`hambatch bench compare`: one result against another."""

import json
from pathlib import Path
from typing import Any

import click

from hambatch.bench.options import BenchCompareOptions
from hambatch.cli.finite import FiniteRange
from hambatch.errors import ExitCode

DEFAULTS = BenchCompareOptions()


class Replacement(click.ParamType[tuple[str, str]]):
    """Two texts with ``=`` between them."""

    name = "replacement"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Split at the first ``=``; neither text may be empty."""
        old, _, new = value.partition("=")
        return (old, new) if old and new else self.fail(f"{value!r} is not OLD=NEW.", param, ctx)


@click.command()
@click.argument("a", metavar="A.json", type=click.Path(path_type=Path))
@click.argument("b", metavar="B.json", type=click.Path(path_type=Path))
@click.option(
    "--series",
    metavar="OLD=NEW",
    type=Replacement(),
    help="A's series with OLD in their names against B's with NEW there: fp32=int8.",
)
@click.option(
    "--change",
    metavar="PERCENT",
    default=DEFAULTS.change,
    type=FiniteRange(0.1, 1000),
    help="Refuse fewer repeats than it takes to see this change.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
@click.pass_context
def compare(ctx: click.Context, /, *, as_json: bool, **given: Any) -> None:
    """Say whether result B is faster than A, slower, or whether it is noise.

    Exit codes: 0 faster or noise; 1 cannot be compared; 2 usage; 3 slower.
    """
    from hambatch.bench import compare_report
    from hambatch.bench.compare import compare as run

    options = BenchCompareOptions(change=given.pop("change"))
    found = run(**given, options=options)
    text = compare_report.format_comparison(found)
    click.echo(json.dumps(compare_report.as_json(found), indent=2) if as_json else text)
    ctx.exit(ExitCode.SLOWER if found.word == "slower" else ExitCode.OK)
