"""A part of an open file, such as an archive that lies stored in another one."""

import os

AHEAD = 1 << 14
"""Bytes that are read at a time where few are wanted: headers of small members lie together."""


def pread(descriptor: int, size: int, place: int) -> bytes:
    """Read so many bytes of a file, or fewer at its end."""
    content = os.pread(descriptor, size, place)
    if len(content) in (0, size):
        return content
    parts, missing = [content], size - len(content)
    while missing and (part := os.pread(descriptor, missing, place + size - missing)):
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)


class Window:
    """``size`` bytes of an open file from ``start`` on."""

    def __init__(self, descriptor: int, start: int, size: int) -> None:
        self.descriptor, self.start, self.size = descriptor, start, size
        self._kept, self._at = b"", 0

    def read_at(self, place: int, size: int) -> bytes:
        """Read so many bytes from ``place`` on, or fewer at the window's end."""
        size = min(size, self.size - place)
        if size <= 0:
            return b""
        begin = place - self._at
        if begin >= 0 and begin + size <= len(self._kept):
            return self._kept[begin : begin + size]
        wanted = min(max(size, AHEAD), self.size - place)
        content = pread(self.descriptor, wanted, self.start + place)
        if wanted > AHEAD:
            return content
        self._kept, self._at = content, place
        return content[:size]

    def part(self, place: int, size: int) -> "Window":
        """Give a window on a part of this one."""
        return Window(self.descriptor, self.start + place, min(size, self.size - place))
