"""Damaged copies of JSON files: every value of a document is replaced, one at a time."""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

NESTED = "[" * 200 + "]" * 200

REPLACED = {
    "null": "null",
    "true": "true",
    "text": '"x"',
    "number": "3",
    "negative": "-1",
    "zero": "0",
    "huge": "1" + "0" * 400,
    "beyond 64 bits": "1" + "0" * 30,
    "large": "1e300",
    "NaN": "NaN",
    "infinity": "1e999",
    "empty text": '""',
    "empty list": "[]",
    "empty object": "{}",
    "long text": '"' + "a" * 100_000 + '"',
    "nested": NESTED,
    "list of a null": "[null]",
    "object of a list": '{"a": [1]}',
    "NUL": '"a\\u0000b"',
    "half a character": '"\\ud800."',
    "control character": '"a\\u001bb"',
    "absolute": '"/etc/passwd"',
    "above": '"../x"',
}

DELETED, TWICE = "deleted", "twice"

MARK = "\u2603 mark \u2603"


class Mutant(NamedTuple):
    """``place`` and ``how`` say what was changed."""

    place: str
    how: str
    content: bytes


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Name every value of a document, the whole first."""
    yield at
    if isinstance(value, dict | list):
        for key, one in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(one, (*at, key))


def mutant(document: Any, place: tuple[Any, ...], how: str) -> Mutant | None:
    """Change one value; None where that is not possible."""
    root = [json.loads(json.dumps(document))]
    parent: Any = root
    for step in (0, *place)[:-1]:
        parent = parent[step]
    key = (0, *place)[-1]
    text = REPLACED.get(how, "")
    if how == DELETED:
        if not place:
            return None
        del parent[key]
    elif how == TWICE:
        if not isinstance(parent, dict):
            return None
        text = f"{json.dumps(parent[key])}, {json.dumps(key)}: 7"
        parent[key] = MARK
    else:
        parent[key] = MARK
    content = json.dumps(root[0]).replace(json.dumps(MARK), text)
    return Mutant(".".join(map(str, place)), how, content.encode())


HOWS = (*REPLACED, DELETED, TWICE)


def damaged_bytes(content: bytes) -> Iterator[Mutant]:
    """Damage a document as bytes."""
    for how, damaged in {
        "cut off": content[: len(content) // 2],
        "no text": content.replace(b'"', b'"\xff', 1),
        "byte-order mark": b"\xef\xbb\xbf" + content,
        "UTF-16": content.decode().encode("utf-16"),
        "a NUL": content.replace(b'"', b'"\0', 1),
        "nothing": b"",
        "two documents": content * 2,
        "very deep": b"[" * 100_000,
        "deep": b'{"a":' * 900 + b"1" + b"}" * 900,
    }.items():
        yield Mutant("", how, damaged)
