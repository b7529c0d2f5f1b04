"""The bytes of DICOM files of several frames, kept from one frame to the next."""

import os
import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

from hambatch.system.files import sha256_of_bytes

FILES_KEPT = 2
"""Files of several frames whose bytes are kept: one ends in the batch in which another begins."""

_File = tuple[object, ...]


class KeptFiles:
    """The bytes of the files of several frames that were read last; several threads may read.

    Else n frames would cost n times the reading, the hashing and the memory of their file.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[_File, _KeptFile] = OrderedDict()

    def read(self, path: Path, place: _File, read: Callable[[], bytes]) -> tuple[bytes, str]:
        """Give bytes and sha256 of a file, or of a member at that ``place`` in the archive.

        One that looks as it did when it was read is not read again. Raises what ``read`` does, and
        OSError if the file is gone.
        """
        found = os.stat(path)
        status = found.st_size, found.st_mtime_ns, found.st_ctime_ns
        key = path, *place, found.st_dev, found.st_ino, *status
        with self._lock:
            kept = self._kept.setdefault(key, _KeptFile())
            self._kept.move_to_end(key)
            if len(self._kept) > FILES_KEPT:
                self._kept.popitem(last=False)
        with kept.lock:
            if kept.content is None:
                content = read()
                kept.content = content, sha256_of_bytes(content)
            return kept.content


class _KeptFile:
    """A file that is read by the first thread that wants it; ``content``: bytes and sha256."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.content: tuple[bytes, str] | None = None
