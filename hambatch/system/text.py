"""Text for tables and messages: names that survive a table, image ids, counts."""

import re
import unicodedata
from collections.abc import Sequence

NAMED = 5
"""How many names a message lists before it only counts."""

COLUMNS_NAMED = 40
"""How many columns of a table a message lists."""

_LOOKS_ENCODED = re.compile(r"%(?=[0-9A-Fa-f]{2})")

_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\udc80-\udcff]")

_FORMULA = re.compile("((?:^|[;,|\"'])\\s*)([-=+@\uff0d\uff1d\uff0b\uff20])")

_ENCODED = re.compile(rb"%([0-9A-Fa-f]{2})")

_PLAIN = re.compile(r"[A-Za-z0-9_./][-A-Za-z0-9_./ ]*")
"""Text that is written as it stands: to see that at once takes a fifth of the time."""


FRAME = re.compile(r"(.+)!/frame-([0-9]{4,})(#[0-9]+)?", re.DOTALL)
"""The name of a frame of a DICOM file: the file's, its number, and what tells apart equal names."""


_UID = re.compile(r"[0-9]+(\.[0-9]+)+")


def encode_name(name: str) -> str:
    r"""Make a file-system name (with surrogate escapes) text that is safe in a table.

    Different names give different texts; no text has two lines or starts a formula.

    >>> encode_name("caf\udce9 50%.jpg"), encode_name("a%20b.jpg"), encode_name("=1;-2 - 3.jpg")
    ('caf%E9 50%.jpg', 'a%2520b.jpg', '%3D1;%2D2 - 3.jpg')
    """
    if _PLAIN.fullmatch(name):
        return name
    escaped = _LOOKS_ENCODED.sub("%25", name)
    one_line = _UNPRINTABLE.sub(lambda found: _percent(found[0]), escaped)
    return _FORMULA.sub(lambda found: found[1] + _percent(found[2]), one_line)


def decode_name(text: str) -> str:
    """Undo :func:`encode_name`; the result names the file to the file system."""
    if "%" not in text and text.isascii():
        return text
    raw = _ENCODED.sub(lambda found: bytes([int(found[1], 16)]), text.encode("utf-8"))
    return raw.decode("utf-8", "surrogateescape")


def _percent(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "surrogateescape"))


def frame_of(image: str) -> int:
    """Give the number of the frame that a name, encoded or not, is of; 0 for a whole file."""
    found = FRAME.fullmatch(image)
    return int(found[2]) if found else 0


def stem_of(image: str) -> str:
    """Return the stem of the last component of an ``image`` that `score` wrote, encoded.

    The frame of a DICOM file is named after its file. A UID has no suffix.

    >>> stem_of("part_1/ISIC_0024306.jpg"), stem_of("a.zip!/b/c.d.png"), stem_of("a.jpg#2")
    ('ISIC_0024306', 'c.d', 'a')
    >>> stem_of("b/a.dcm!/frame-0001"), stem_of("b/1.2.840.10008")
    ('a!frame-0001', '1.2.840.10008')
    """
    return encode_name(_stem(image))


def image_id_of(image: str) -> str:
    """Return the image_id of an ``image`` that `score` wrote, in the form of `canonical_id`."""
    return canonical_id(_stem(image))


def _stem(image: str) -> str:
    name = decode_name(image)
    if found := FRAME.fullmatch(name):
        return f"{_stem(found[1])}!frame-{found[2]}"
    name = name.rpartition("/")[2]
    before, _, after = name.rpartition(".")
    return name if _UID.fullmatch(name) else before or after


def canonical_id(image_id: str) -> str:
    r"""Bring a plain image_id, which has no folder and no suffix, to its one form.

    It is percent-encoded as names are, so it is valid UTF-8 whatever the file was called. Of the
    ways in which Unicode writes an accented letter, it has the composed one (NFC): file systems
    and spreadsheets differ in that.

    >>> canonical_id("cafe\u0301") == canonical_id("caf\u00e9")
    True
    """
    return encode_name(unicodedata.normalize("NFC", image_id))


def problem_with_cell(text: str) -> str:
    r"""Say what no table that hambatch writes as it stands may hold; empty if nothing.

    It is what :func:`encode_name` encodes, but for ``%``.

    >>> problem_with_cell("=cmd|' /C calc'!A0"), problem_with_cell("a\tb"), problem_with_cell("50%")
    ('the start of a formula', 'a control character', '')
    """
    if _UNPRINTABLE.search(text):
        return "a control character"
    return "the start of a formula" if _FORMULA.search(text) else ""


def loose_name(column: str) -> str:
    r"""Bring a column's name to one form of those that people write: ``Image ID``, ``image_id``.

    >>> loose_name("La\u0308sion Nr") == loose_name("L\u00e4sion_nr")
    True
    """
    return unicodedata.normalize("NFC", re.sub(r"[\s_-]+", "_", column.strip()).casefold())


LONGEST_NAME = 255
"""Bytes of a file's name; most file systems take no longer one."""


def problem_with_file_name(name: str) -> str:
    """Say why a file's name that an artefact gives cannot be used; empty if it can.

    It is to name a file of one folder: no path, no control character, nothing that no file system
    takes.
    """
    if "/" in name or name in ("", ".", ".."):
        return "is not the name of a file in its folder"
    if _UNPRINTABLE.search(name):
        return "has a control character, or bytes that are no text"
    if len(name.encode(errors="replace")) > LONGEST_NAME:
        return f"has more than {LONGEST_NAME} bytes"
    return ""


def excerpt(text: str, at_most: int = 200) -> str:
    r"""Shorten text of others for a message, and keep it on its line.

    Dots stand for what is left out; control characters are encoded.

    >>> excerpt("a\x1b[2J\nNext: ...", 6)
    'a%1B[2J%0A ...'
    """
    shown = _UNPRINTABLE.sub(lambda found: _percent(found[0]), text[:at_most])
    return shown if len(text) <= at_most else f"{shown} ..."


def last_words(error: BaseException) -> str:
    r"""Give the last line of a library's message that says anything; graphs name things in it.

    >>> last_words(RuntimeError("Check failed at a.cpp:7:\nno rule for \x1b[31mEvil\n\n"))
    'no rule for %1B[31mEvil'
    """
    lines = [line.strip() for line in str(error).split("\n") if line.strip()]
    words = lines[-1] if lines else type(error).__name__
    return excerpt(_UNPRINTABLE.sub(lambda found: _percent(found[0]), words))


def in_words(names: Sequence[str]) -> str:
    """``a, b and c``."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def plural(count: int, thing: str) -> str:
    """Say ``1 stream``, ``2 streams``."""
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


def first_names(names: Sequence[str], at_most: int = NAMED, separator: str = ", ") -> str:
    """List the first names, each shortened; dots stand for the others."""
    more = ["..."] if len(names) > at_most else []
    return separator.join([*map(excerpt, names[:at_most]), *more])
