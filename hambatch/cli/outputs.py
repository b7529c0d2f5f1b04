"""Where the table of `hambatch score` goes: into a file, or to standard output."""

from pathlib import Path
from typing import Any

import click

from hambatch.cli.standard_streams import refuse_closed_output, send_file
from hambatch.errors import ReaderGone
from hambatch.scoring.run import Outcome, score
from hambatch.scoring.standard_output import NAMES, score_to_stdout
from hambatch.sinks.formats import ONLY_NAMED, SUFFIXES
from hambatch.system.output_names import STANDARD_OUTPUT

_NEEDS_A_FILE = {
    "update": "brings a table up to date, and there is none: name the file of the table",
    "retry_failed": "needs a finished table: name the file of the table",
    "sign": "puts the seal beside the table: name the file of the table",
}


def run_to(
    out: Path, sources: tuple[Path, ...], kind: str, *given: Any, mkdir: bool, **how: Any
) -> Outcome:
    """Score into ``out``, or with ``-`` to standard output.

    Raises what :func:`hambatch.scoring.run.score` raises, click.UsageError for what cannot go to
    standard output, InputError before the run if that is closed, and ReaderGone, once the run has
    ended, if its reader closed that.
    """
    if str(out) != STANDARD_OUTPUT:
        return score(sources, out, kind, *given, mkdir=mkdir, **how)
    _refuse_with_stdout(kind, how)
    refuse_closed_output()
    gone: list[ReaderGone] = []

    def deliver(table: Path) -> None:
        try:
            send_file(table)
        except ReaderGone as error:
            # It has read what it wanted: the run is done, and keeps nothing to write again.
            gone.append(error)

    left = {name: value for name, value in how.items() if name not in _NEEDS_A_FILE}
    outcome = score_to_stdout(sources, kind, *given, deliver=deliver, **left)
    if gone:
        raise gone[0]
    return outcome


def _refuse_with_stdout(kind: str, how: dict[str, Any]) -> None:
    if kind not in ("auto", *NAMES):
        suffix = next((s for s, name in (SUFFIXES | ONLY_NAMED).items() if name == kind), "")
        raise click.UsageError(
            f"--format {kind} is no text, wanted --format {', '.join(NAMES)} for --out -.\n"
            f"Next: --out preds{suffix} --format {kind}"
        )
    for name, why in _NEEDS_A_FILE.items():
        if how[name]:
            raise click.UsageError(f"--{name.replace('_', '-')} {why}, instead of --out -")
