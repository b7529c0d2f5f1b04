"""`hambatch doctor`: what this machine can run, and what is missing."""

import json

import click

from hambatch.cli.help import Command
from hambatch.errors import ExitCode

EXAMPLES = """
hambatch doctor
hambatch doctor --json
"""


@click.command(cls=Command, examples=EXAMPLES)
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of the table.")
@click.pass_context
def doctor(ctx: click.Context, /, as_json: bool) -> None:
    """Look at packages, the default engine, the driver and its GPUs, and say what works.

    Everything is tried in processes of its own, which takes some seconds. Exit
    codes: 0 images can be scored here; 1 they cannot; 2 wrong command line.
    """
    from hambatch.checks.doctor.examine import as_text, examine
    from hambatch.cli.progress import progress

    found = examine(progress("checks", "trying every package, some seconds"))
    click.echo(json.dumps(found.to_json(), indent=2) if as_json else as_text(found))
    ctx.exit(ExitCode.OK if found.can_score else ExitCode.FAILED)
