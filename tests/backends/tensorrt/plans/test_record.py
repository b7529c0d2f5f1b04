"""A record is read back as it was written; whatever else is in the file is refused."""

import json

import pytest
from msgspec import to_builtins
from msgspec.structs import replace

from hambatch.backends.tensorrt.plans.record import read_record
from hambatch.system.files import sha256_of_bytes
from tests.backends.tensorrt.plans.made_plans import record

WRONG = {
    "sha256": [5, None, "a\0b", "\ud800" * 64, "A" * 64, "../../x", "a" * 64 + "\n"],
    "size_bytes": ["9", None, True, 1.5, -1, 10**400],
    "engine": [None, "\ud800"],
    "seconds": ["9", float("nan"), 10**400],
    "invariance": [None, {}, [], {**to_builtins(record().invariance), "surprise": 1}],
    "known_pictures": [7, {"images": 4}, {"images": "4", "max_difference": 0, "tolerance": 1}],
    "conversion": [{"values": 5}, {"values": {}}],
    "key": [None, [], {}],
    "format": [2, "1", None],
    "surprise": [1],
}
RAW = to_builtins(record())
CONTENTS = [
    *(json.dumps({**RAW, name: wrong}) for name, all in WRONG.items() for wrong in all),
    json.dumps(RAW).replace("[1, 32, 32]", '[1, "32", 32]'),
    json.dumps(RAW).replace("[1, 32, 32]", "[1, 32]"),
    "[" * 100_000,
    '{"format": 1, "key": ' + '{"a":' * 100_000,
    "[]",
    "5",
    "null",
    "\0",
    "",
]


@pytest.mark.parametrize("content", CONTENTS, ids=range(len(CONTENTS)))
def test_what_is_no_record_is_refused_in_a_printable_line(content: str) -> None:
    with pytest.raises(ValueError, match=r".") as refused:
        read_record(content.encode())
    assert str(refused.value).isprintable()


def test_a_record_is_read_back() -> None:
    assert read_record(record().to_json()) == record()


def test_records_and_names_are_those_of_version_463d216() -> None:
    """So plans that were kept before are found: here one of an engine without sentinels."""
    written = replace(record(), known_pictures={})
    assert read_record(written.to_json()) == written
    assert written.key.name == "368a82870eb7c2705942b9ad8a89dca381025a6bd0c12c3438a23a5708c8290e"
    assert sha256_of_bytes(written.to_json()) == (
        "b37c912c02cc04cdbb4f175a100787330c89d0f9db52d407e062aea3b246ede4"
    )
