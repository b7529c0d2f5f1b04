"""The command line: parse, delegate, turn errors into messages and exit codes."""

import errno
import importlib
import os
import signal
import sys
from collections.abc import Set
from pathlib import Path

import click

from hambatch import __version__
from hambatch.cli.messages import FORMATS, Messages
from hambatch.cli.settings import (
    WORDS,
    log_format_of,
    naming_origins,
    put_first,
    take_settings,
)
from hambatch.cli.standard_streams import watch_streams
from hambatch.errors import (
    NO_MEMORY,
    BackendError,
    ExitCode,
    HambatchError,
    InputError,
    ReaderGone,
    is_shortage,
    lacks_open_files,
    refusal_of,
)
from hambatch.system.inherited import check_interpreter, settle_environment, settle_home
from hambatch.system.search_path import leave_out_current_folder
from hambatch.system.shortages import NO_THREAD, NO_THREADS, SPARE, has_room, has_threads

SECTIONS = {
    "Score images": {
        "score": "Score a folder of images into a table: the main job.",
        "samples": "Write synthetic dermatoscopic JPEGs to try hambatch with.",
    },
    "Look at results": {
        "verify": "Compare a table with its files, its record and its engine.",
        "evaluate": "Compare predictions with the truth.",
        "certify": "Certify a threshold that keeps a sensitivity, on labelled lesions.",
        "explain": "Show where in an image the evidence for a class lies.",
    },
    "Make engines": {
        "prepare": "Split HAM10000 by lesion, check it for leaks, write the split table.",
        "train": "Train an engine from a split table.",
        "export": "Export Keras weights to the engine's ONNX graph, and that to INT8.",
        "build": "Build a TensorRT plan from an engine, for one GPU.",
        "engines": "List, show, verify and tune engines; list and prune TensorRT plans.",
    },
    "Measure and check a machine": {
        "doctor": "Show what this machine can run, and what is missing.",
        "bench": "Measure latency and throughput, and compare two results.",
        "parity": "Compare decoders, backends and precisions on the same images.",
    },
}

COMMANDS = {name: text for section in SECTIONS.values() for name, text in section.items()}


class LazyGroup(click.Group):
    """Imports a command's module only when that command runs, so help is instant."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read hambatch's own options, wherever they stand, and take the settings."""
        ctx.meta[WORDS] = words = put_first(args)
        with naming_origins(ctx):
            return super().parse_args(ctx, words)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name the commands in the order of the help."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load one command from the module of its name."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"hambatch.cli.{cmd_name}")
        command: click.Command = getattr(module, cmd_name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; suggest the nearest names for a mistyped one."""
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            raise click.NoSuchCommand(args[0], possibilities=COMMANDS, ctx=ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands by section, without importing them."""
        for heading, commands in SECTIONS.items():
            with formatter.section(heading):
                formatter.write_dl(list(commands.items()))


@click.group(
    cls=LazyGroup, context_settings={"show_default": True, "help_option_names": ["-h", "--help"]}
)
@click.version_option(__version__, prog_name="hambatch")
@click.option(
    "--config",
    metavar="FILE",
    type=click.Path(path_type=Path),
    envvar="HAMBATCH_CONFIG",
    is_eager=True,
    expose_value=False,
    callback=take_settings,
    help="TOML file with values of options.",
)
@click.option(
    "--log-format",
    default="text",
    type=click.Choice(FORMATS),
    envvar="HAMBATCH_LOG_FORMAT",
    help="Messages on stderr as text, or as JSON: one object a line.",
)
@click.option(
    "--quiet", is_flag=True, envvar="HAMBATCH_QUIET", help="Only warnings and errors on stderr."
)
@click.pass_context
def hambatch(ctx: click.Context, /, log_format: str, *, quiet: bool) -> None:
    """Batch scoring of dermatoscopic images. Research use only: not a medical device."""
    messages = ctx.ensure_object(Messages)
    messages.choose(log_format, quiet=quiet)
    ctx.call_on_close(messages.close_if_shared)
    check_interpreter()
    _refuse_lost_folder()
    if folder := settle_home():
        text = f"no home that this user may write to: caches go to {folder}"
        messages.say("home", text, folder=str(folder))


def _refuse_lost_folder() -> None:
    try:
        os.getcwd()
    except OSError as error:
        raise InputError(
            f"the current folder cannot be used: {error.strerror}; wanted one that exists.\n"
            "Next: cd to another folder, and run the same command again"
        ) from error


def main(unblocked: Set[int] | None = None) -> None:
    """Run the command line; an expected error is one message and an exit code.

    ``unblocked``: the mask of signals to set where they are handled; None: as it is.
    """
    leave_out_current_folder()
    settle_environment()
    # A service manager's stop ends a run as cleanly as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with watch_streams(), Messages(own_process=True) as messages:
        code = _exit_code(messages, unblocked)
    raise SystemExit(code)


def _exit_code(messages: Messages, unblocked: Set[int] | None) -> int:
    try:
        messages.choose(log_format_of(sys.argv[1:]))
        if unblocked is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, unblocked)
        code = hambatch.main(standalone_mode=False, obj=messages)
        sys.stdout.flush()
        return code or ExitCode.OK
    except ReaderGone:
        return ExitCode.FAILED
    except HambatchError as error:
        return messages.failed(error)
    except click.ClickException as error:
        return messages.refused(error)
    except (KeyboardInterrupt, click.Abort) as stopped:
        # Click wraps what interrupted it; the notes are on the original.
        kept = getattr(stopped.__cause__ or stopped, "__notes__", None)
        # OpenBLAS, which numpy loads, sends this signal itself where it gets no threads.
        if not kept and not has_threads():
            return messages.failed(BackendError(NO_THREADS))
        return messages.interrupted(kept or ["run the same command again"])
    except (MemoryError, ImportError, OSError, RuntimeError, SystemError) as error:
        refused = _refused(error)
        if refused is None:
            raise
        return messages.failed(refused)


def _refused(error: Exception) -> HambatchError | None:
    """Turn what the machine refused into a message; None: a bug, which keeps its traceback."""
    if isinstance(error, OSError):
        return refusal_of(error)
    if isinstance(error, ImportError) and lacks_open_files(error):
        return refusal_of(OSError(errno.EMFILE, ""))
    if isinstance(error, RuntimeError):
        return BackendError(NO_THREADS) if NO_THREAD[0] in str(error) else None
    # Python itself loses a MemoryError now and then, and says so in a SystemError.
    lost = isinstance(error, SystemError) and not has_room(SPARE)
    return BackendError(NO_MEMORY) if lost or is_shortage(error) else None
