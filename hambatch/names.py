"""File names that survive a table: undecodable bytes and control characters as ``%XX``.

A name that is valid UTF-8 stays as it is, but for a ``%`` followed by two
hexadecimal digits, which would otherwise read as an encoded byte.
"""

import os
import re

_LOOKS_ENCODED = re.compile(r"%(?=[0-9A-Fa-f]{2})")
_SURROGATE = re.compile("[\udc80-\udcff]")
_CONTROL = re.compile("[\x00-\x1f\x7f]")
_ENCODED = re.compile(rb"%([0-9A-Fa-f]{2})")


def encode_name(name: str) -> str:
    r"""Make a file-system name (with surrogate escapes) valid UTF-8 text.

    >>> encode_name("caf\udce9 50%.jpg"), encode_name("a%20b.jpg")
    ('caf%E9 50%.jpg', 'a%2520b.jpg')
    """
    escaped = _LOOKS_ENCODED.sub("%25", name)
    # Line ends inside a name would cut its row in two for many readers of tables.
    one_line = _CONTROL.sub(lambda found: f"%{ord(found[0]):02X}", escaped)
    return _SURROGATE.sub(lambda found: f"%{ord(found[0]) - 0xDC00:02X}", one_line)


def decode_name(text: str) -> str:
    """Undo :func:`encode_name`; the result names the file to the file system."""
    raw = _ENCODED.sub(lambda found: bytes([int(found[1], 16)]), text.encode("utf-8"))
    return os.fsdecode(raw)
