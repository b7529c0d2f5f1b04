"""What the decoders print: the only sign of a JPEG that is damaged inside.

libjpeg, and DALI with it, decodes damaged samples all the same, and prints a
warning to the process's stderr. In a worker that is a file, so one look at the
file's size a batch tells whether any picture of it was damaged [1]_.

References
----------
.. [1] libjpeg-turbo, ``jdatasrc.c``, ``jdhuff.c`` and ``jdmarker.c``: ``WARNMS``;
   ``jerror.c``: the default ``emit_message`` prints a file's first warning only.
"""

import fcntl
import os
import re
import stat

STDERR = 2

MOST_BYTES = 1_000_000
"""The log is emptied when it has grown beyond this."""

_WARNING = re.compile(
    rb"(?:Corrupt JPEG data: |Warning: )?("
    rb"premature end of data segment|premature end of JPEG file|bad Huffman code"
    rb"|bad arithmetic code|\d+ extraneous bytes before marker 0x\w+"
    rb"|found marker 0x\w+ instead of RST\d|inconsistent progression sequence[^\n]*"
    rb"|invalid SOS parameters[^\n]*|unknown JFIF revision[^\n]*|unknown Adobe color[^\n]*)",
    re.IGNORECASE,
)


class DecoderLog:
    """Reads what was appended to a descriptor since the last look.

    Deaf where the descriptor is no file that can be read, as in a terminal:
    workers always have one.
    """

    def __init__(self, descriptor: int = STDERR) -> None:
        self._descriptor = descriptor
        self.can_hear = _is_readable_file(descriptor)
        self._read = self._size()

    def heard(self) -> str:
        """Give the first decoder's warning since the last look, or an empty string."""
        size = self._size()
        if size == self._read:
            return ""
        # Where somebody emptied the file, all of it is new.
        start = self._read if size > self._read else 0
        said = os.pread(self._descriptor, size - start, start)
        # A line that is being written is heard when it is whole.
        whole = said.rfind(b"\n") + 1
        self._read = start + whole
        found = _WARNING.search(said, 0, whole)
        return found[1].decode() if found else ""

    def shorten(self) -> None:
        """Empty the log if it is long; only while no decoder works, or a warning may be lost."""
        if self._size() > MOST_BYTES:
            os.ftruncate(self._descriptor, 0)
            self._read = 0

    @property
    def is_long(self) -> bool:
        """Whether :meth:`shorten` would do anything."""
        return self._size() > MOST_BYTES

    def _size(self) -> int:
        return os.fstat(self._descriptor).st_size if self.can_hear else 0


def _is_readable_file(descriptor: int) -> bool:
    try:
        regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
        return regular and fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDWR
    except OSError:
        return False
