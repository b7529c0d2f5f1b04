"""Text that survives a table: what would harm its reader is written as ``%XX``.

Encoded, as the bytes of UTF-8, are

- bytes that are no text (surrogate escapes of an undecodable file name);
- control characters and line separators, which would cut a row in two;
- ``=``, ``+``, ``-`` and ``@``, and their full-width forms, where a cell may
  begin: a spreadsheet would run the rest as a formula [1]_. A cell begins with
  the text, and after any of ``; , | " '``, as a program that splits rows at
  another character than the comma sees it; spaces may come between;
- a ``%`` followed by two hexadecimal digits, which would read as one of these.

All other text stays as it is.

References
----------
.. [1] https://owasp.org/www-community/attacks/CSV_Injection
"""

import re

_LOOKS_ENCODED = re.compile(r"%(?=[0-9A-Fa-f]{2})")
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\udc80-\udcff]")
_FORMULA = re.compile("((?:^|[;,|\"'])\\s*)([-=+@\uff0d\uff1d\uff0b\uff20])")
_ENCODED = re.compile(rb"%([0-9A-Fa-f]{2})")


def encode_name(name: str) -> str:
    r"""Make a file-system name (with surrogate escapes) text that is safe in a table.

    Different names give different texts; no text has two lines or starts a formula.

    >>> encode_name("caf\udce9 50%.jpg"), encode_name("a%20b.jpg"), encode_name("=1;-2 - 3.jpg")
    ('caf%E9 50%.jpg', 'a%2520b.jpg', '%3D1;%2D2 - 3.jpg')
    """
    escaped = _LOOKS_ENCODED.sub("%25", name)
    one_line = _UNPRINTABLE.sub(lambda found: _percent(found[0]), escaped)
    return _FORMULA.sub(lambda found: found[1] + _percent(found[2]), one_line)


def decode_name(text: str) -> str:
    """Undo :func:`encode_name`; the result names the file to the file system."""
    raw = _ENCODED.sub(lambda found: bytes([int(found[1], 16)]), text.encode("utf-8"))
    return raw.decode("utf-8", "surrogateescape")


def _percent(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "surrogateescape"))
