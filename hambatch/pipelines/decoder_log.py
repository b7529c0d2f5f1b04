"""What the decoders print: the only sign of a JPEG that is damaged inside.

libjpeg, and DALI with it, decodes damaged samples all the same, and prints a
warning to the process's stderr. In a worker that is a file, so one look at the
file a batch tells whether any image of it was damaged [1]_. A warning that
could not be written would be missed: so every look writes a byte itself.

The JPEG engine of a GPU fails a whole batch for one file; the batch is then decoded by
other cores, to other pixels, and only a line of nvImageCodec tells [2]_.

References
----------
.. [1] libjpeg-turbo, ``jdatasrc.c``, ``jdhuff.c`` and ``jdmarker.c``: ``WARNMS``;
   ``jerror.c``: the default ``emit_message`` prints a file's first warning only. libpng,
   ``pngrutil.c``: rows beyond the header's height are a warning as well.
.. [2] nvImageCodec, ``extensions/nvjpeg/hw_decoder.cpp``: ``decodeBatch``.
"""

import fcntl
import os
import re
import resource
import stat

from hambatch.errors import BackendError

STDERR = 2

MOST_BYTES = 1_000_000
"""The log is emptied when it has grown beyond this, or half of what a file may be."""

_PROOF = b"\0"

_WARNING = re.compile(
    rb"(?:Corrupt JPEG data: |Warning: )?("
    rb"premature end of data segment|premature end of JPEG file|bad Huffman code"
    rb"|bad arithmetic code|\d+ extraneous bytes before marker 0x\w+"
    rb"|\[nvjpeg_hw_decoder\] Could not decode[^\n]*"
    rb"|found marker 0x\w+ instead of RST\d|inconsistent progression sequence[^\n]*"
    rb"|IDAT: Too much image data"
    rb"|invalid SOS parameters[^\n]*|unknown JFIF revision[^\n]*|unknown Adobe color[^\n]*)",
    re.IGNORECASE,
)


class DecoderLog:
    """Reads what was appended to a descriptor since the last look.

    Where the descriptor is no file that can be read, as in a terminal, there is never a warning;
    workers always have such a file. Raises BackendError, here or at any look, if what the
    decoders print would be lost: with ``required`` also if the descriptor cannot be read.
    """

    def __init__(self, descriptor: int = STDERR, *, required: bool = False) -> None:
        self._descriptor = descriptor
        self.is_readable = _is_readable_file(descriptor)
        if required and not self.is_readable:
            raise _lost("stderr is no file that can be read")
        limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
        unlimited = limit == resource.RLIM_INFINITY
        self._most = MOST_BYTES if unlimited else min(MOST_BYTES, limit // 2)
        self._read, self._unfinished = self._size(), b""
        self.warning()

    def warning(self) -> str:
        """Give the first decoder's warning since the last look, or an empty string."""
        if not self.is_readable:
            return ""
        before = self._size()
        size = self._size_after_a_byte(before)
        # Where the file was emptied meanwhile, all of it is new.
        start = self._read if before >= self._read else 0
        new = self._unfinished + os.pread(self._descriptor, size - start, start)
        # Our own byte may have come into the middle of a decoder's line.
        new = new.replace(_PROOF, b"")
        # A line that is being written counts when it is whole.
        whole = new.rfind(b"\n") + 1
        self._read, self._unfinished = size, new[whole:]
        found = _WARNING.search(new, 0, whole)
        return found[1].decode() if found else ""

    def shorten(self) -> None:
        """Empty the log if it is long; only while no decoder works, or a warning may be lost."""
        if self.is_long:
            os.ftruncate(self._descriptor, 0)
            self._read, self._unfinished = 0, b""
            self.warning()

    @property
    def is_long(self) -> bool:
        """Whether :meth:`shorten` would do anything."""
        return self._size() > self._most

    def _size_after_a_byte(self, before: int) -> int:
        """Write a byte the way decoders write, to see that it arrives."""
        try:
            os.write(self._descriptor, _PROOF)
        except OSError as error:
            raise _lost(error.strerror or str(error)) from error
        after = self._size()
        if after <= before:
            raise _lost("the log does not grow")
        return after

    def _size(self) -> int:
        return os.fstat(self._descriptor).st_size if self.is_readable else 0


def _lost(why: str) -> BackendError:
    return BackendError(
        f"what the decoders print cannot be kept: {why}. Damaged images would be "
        "scored as intact.\nNext: see to the limit on file sizes (ulimit -f), memory and free "
        "space of the temporary folder, then run the same command again"
    )


def _is_readable_file(descriptor: int) -> bool:
    try:
        regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
        return regular and fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDWR
    except OSError:
        return False
