"""Messages as JSON: one object a line on standard error, and no other line there."""

import atexit
import fcntl
import json
import logging
import os
import re
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from hambatch.errors import LONGEST_LINE, ExitCode

STDERR = 2
"""The file descriptor."""

PIPE_BYTES = 1 << 20
"""Room for what a library writes in one go while no other thread of Python may run."""

END = b"\0end of what hambatch reads\0"
"""A line that ends the reading; children may hold the pipe longer."""

SECONDS_TO_END = 5.0
"""What the rest may take where nobody reads the messages."""

_HALF = re.compile("[\ud800-\udfff]")
"""What Python puts for a byte of a file's name that is no text."""

_LINE_ENDS = re.compile("[\x7f-\xa0\u2028\u2029]")
"""Control characters that JSON allows; some programs end a line at them."""


class JsonLog:
    """Writes objects with ``time``, ``level``, ``event``, ``message`` and fields of the event.

    It takes over what the standard library logs, and Python's warnings. In a process of its own it
    also takes over the descriptor of standard error, so that a line of a library written in C, or
    of a child process, becomes an object too.
    """

    def __init__(self, *, own_process: bool) -> None:
        self._lock = threading.Lock()
        self._captured = _Captured(self.write_output) if own_process else None
        self._handler = _Handler(self)
        logging.getLogger().addHandler(self._handler)
        logging.captureWarnings(True)
        self._hook, threading.excepthook = threading.excepthook, self._write_bug_of_thread
        if own_process:
            # Registered before what commands import, this comes after what they do at the end.
            atexit.register(self.close)

    def write(self, event: str, level: str, message: str, fields: Mapping[str, Any]) -> None:
        """Write one object on one line; a run does not stop where that cannot be done."""
        time = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        said = {"time": time, "level": level, "event": event, "message": message, **fields}
        line = _as_line(said)
        with self._lock, suppress(OSError, ValueError):
            if self._captured:
                self._captured.write_to_original(line.encode())
            else:
                sys.stderr.write(line)

    def write_bug(self, bug: BaseException) -> None:
        """Write an error that nothing expected, with its traceback."""
        lines = "".join(traceback.format_exception(bug))
        text = "".join(traceback.format_exception_only(bug)).strip()
        self.write("bug", "error", text, {"traceback": lines, "exit_code": int(ExitCode.FAILED)})

    def _write_bug_of_thread(self, found: threading.ExceptHookArgs) -> None:
        if found.exc_value and found.exc_type is not SystemExit:
            lines = "".join(traceback.format_exception(found.exc_value))
            self.write("bug", "error", str(found.exc_value), {"traceback": lines})

    def write_output(self, line: str) -> None:
        """Write what a library or a child process printed."""
        shown = line if len(line) <= LONGEST_LINE else f"{line[:LONGEST_LINE]} ..."
        self.write("output", "warning", shown, {})

    def close(self) -> None:
        """Give logging, warnings and threads back; what is printed later is lost."""
        atexit.unregister(self.close)
        logging.getLogger().removeHandler(self._handler)
        logging.captureWarnings(False)
        threading.excepthook = self._hook
        if self._captured:
            self._captured.close()


def _as_line(said: Mapping[str, Any]) -> str:
    r"""Write an object as JSON that every program reads.

    >>> _as_line({"message": "caf\udce9"})
    '{"message": "caf\\\\udce9"}\n'
    """
    text = json.dumps(said, ensure_ascii=False, default=str)
    text = _HALF.sub(lambda found: f"\\\\u{ord(found[0]):04x}", text)
    return _LINE_ENDS.sub(lambda found: f"\\u{ord(found[0]):04x}", text) + "\n"


class _Handler(logging.Handler):
    """Passes on what is logged at the level of a warning, or as its logger chooses."""

    def __init__(self, log: JsonLog) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        fields = {"logger": record.name}
        if record.exc_info:
            fields["traceback"] = logging.Formatter().formatException(record.exc_info)
        level = {"critical": "error"}.get(record.levelname.lower(), record.levelname.lower())
        self._log.write("log", level, record.getMessage().rstrip(), fields)


class _Captured:
    """Standard error of this process and its children, read line by line."""

    def __init__(self, on_line: Callable[[str], None]) -> None:
        self._on_line = on_line
        self._read, write = os.pipe()
        with suppress(OSError):
            fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        self._reader = threading.Thread(target=self._pass_on, daemon=True)
        self._reader.start()
        self._original = os.dup(STDERR)
        os.dup2(write, STDERR)
        os.close(write)

    def write_to_original(self, line: bytes) -> None:
        """Write to where standard error led before; raises OSError."""
        while line:
            line = line[os.write(self._original, line) :]

    def _pass_on(self) -> None:
        rest = b""
        while part := os.read(self._read, 1 << 16):
            *lines, rest = (rest + part).replace(b"\r", b"\n").split(b"\n")
            if len(rest) > 1 << 16:
                lines, rest = [*lines, rest], b""
            for line in lines:
                if line == END:
                    return
                if line.strip():
                    self._on_line(line.decode(errors="backslashreplace"))

    def close(self) -> None:
        """Pass on what is left, and send what may follow to the null device."""
        with suppress(OSError):
            os.write(STDERR, b"\n" + END + b"\n")
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, STDERR)
        os.close(null)
        self._reader.join(SECONDS_TO_END)
