"""What a command says on standard error: as text or as JSON, all of it or only what matters.

Commands call :func:`say`. Nothing else of hambatch turns an event into words on standard error;
library code raises errors, and logs warnings.
"""

from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

import click

from hambatch.cli.standard_streams import no_terminal
from hambatch.errors import ExitCode, HambatchError

if TYPE_CHECKING:
    from hambatch.cli.json_log import JsonLog

FORMATS = ("text", "json")

INFO, WARNING, ERROR = "info", "warning", "error"
"""Levels of messages; ``--quiet`` leaves out those of the first."""


class Messages:
    """The messages of one command.

    Parameters
    ----------
    own_process
        Whether the process ends with the command: then everything that it and its libraries write
        to standard error becomes JSON too, and a bug's traceback.
    """

    def __init__(self, *, own_process: bool = False) -> None:
        self.quiet = False
        self._own_process = own_process
        self._log: JsonLog | None = None

    @property
    def as_json(self) -> bool:
        """Whether they are JSON."""
        return self._log is not None

    def choose(self, log_format: str, *, quiet: bool = False) -> None:
        """Set how messages look, and whether there are few; what is JSON stays JSON."""
        if quiet and not self.quiet:
            self.quiet = True
            no_terminal()  # every progress bar asks for one
        if log_format == "json" and not self._log:
            from hambatch.cli.json_log import JsonLog

            self._log = JsonLog(own_process=self._own_process)

    def say(self, event: str, text: str, level: str = INFO, brief: str = "", **fields: Any) -> None:
        """Show a message; ``brief`` takes the place of its text under ``--quiet``.

        ``fields`` are in the JSON only.
        """
        if self.quiet and level == INFO:
            return
        text = brief or text if self.quiet else text
        if self._log:
            self._log.write(event, level, text, fields)
        else:
            click.echo(text, err=True)

    def failed(self, error: HambatchError) -> ExitCode:
        """Show an error of the set-up, and what was kept."""
        notes = getattr(error, "__notes__", [])
        if self._log:
            self._end("error", str(error), ExitCode.FAILED, notes, kind=type(error).__name__)
        else:
            click.echo("\n".join([f"Error: {error}", *notes]), err=True)
        return ExitCode.FAILED

    def refused(self, error: click.ClickException) -> int:
        """Show what is wrong with a command line, a variable or the configuration file."""
        if not self._log:
            error.show()
            return error.exit_code
        ctx = getattr(error, "ctx", None)
        # However Python was started, this is what a person types.
        rest = ctx.command_path.removeprefix(ctx.find_root().command_path) if ctx else ""
        command = f"hambatch{rest}"
        found, next_step = _parted(error.format_message())
        next_step = next_step or f"{command} --help"
        fields = {"command": command, "next": next_step, "exit_code": error.exit_code}
        self._log.write("usage", ERROR, found, fields)
        return error.exit_code

    def interrupted(self, notes: Sequence[str]) -> ExitCode:
        """Show that a signal ended the command, and what to do next."""
        if self._log:
            self._end("interrupted", "Interrupted", ExitCode.INTERRUPTED, notes)
        else:
            click.echo("\n".join(["Interrupted", *notes]), err=True)
        return ExitCode.INTERRUPTED

    def _end(
        self, event: str, text: str, code: ExitCode, notes: Sequence[str], **fields: Any
    ) -> None:
        assert self._log  # noqa: S101
        found, next_step = _parted(text)
        fields |= {"next": next_step} if next_step else {}
        fields |= {"notes": [*notes]} if notes else {}
        self._log.write(event, ERROR, found, fields | {"exit_code": int(code)})

    def __enter__(self) -> "Messages":
        """Watch for bugs."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, bug: BaseException | None, _: TracebackType | None
    ) -> None:
        """Write a bug's traceback as one object, where messages are JSON."""
        if self._log and isinstance(bug, Exception):
            self._log.write_bug(bug)
            raise SystemExit(ExitCode.FAILED) from bug

    def close_if_shared(self) -> None:
        """Leave logging and warnings as they were found, in a process that goes on."""
        if self._log and not self._own_process:
            self._log.close()
            self._log = None


def _parted(text: str) -> tuple[str, str]:
    """Part an error's text into what was found and wanted, and what to type next."""
    found, _, next_step = text.partition("\nNext: ")
    return found, next_step


def messages() -> Messages:
    """Give those of the command that runs in this thread; without one, of plain text."""
    ctx = click.get_current_context(silent=True)
    return (ctx and ctx.find_object(Messages)) or Messages()


def say(event: str, text: str, level: str = INFO, brief: str = "", **fields: Any) -> None:
    """Show a message of the running command, as :meth:`Messages.say`."""
    messages().say(event, text, level, brief, **fields)
