"""A message about JSON names the field, what was found and what was wanted."""

import re
from dataclasses import dataclass, field
from typing import Annotated

import pytest
from msgspec import Meta

from hambatch.system.schema import convert, read_json


@dataclass(frozen=True)
class Part:
    share: Annotated[float, Meta(ge=0, le=1)]


@dataclass(frozen=True)
class Whole:
    name: str
    parts: tuple[Part, ...] = ()
    by_name: dict[str, Part] = field(default_factory=dict)
    by_letter: dict[Annotated[str, Meta(min_length=1)], int] = field(default_factory=dict)


def test_values_that_fit_are_read() -> None:
    assert read_json(b'{"name": "a", "parts": [{"share": 1}]}', Whole) == Whole("a", (Part(1.0),))
    assert convert({"name": "a", "unknown": 1}, Whole) == Whole("a")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"name": 3}', "name is 3, wanted str"),
        ('{"name": "a", "parts": [{"share": 2}]}', "parts[0].share is 2, wanted float <= 1.0"),
        ('{"name": "a", "parts": [{"share": true}]}', "parts[0].share is True, wanted float"),
        ('{"name": "a", "by_name": {"x": 1}}', "by_name.x is 1, wanted object"),
        (
            '{"name": "a", "by_name": {"b": {"share": 0}, "a.c": {"share": 3}}}',
            "by_name['a.c'].share is 3, wanted float <= 1.0",
        ),
        ('{"name": "a", "parts": [{}]}', "parts[0].share is missing"),
        (
            '{"name": "a", "by_letter": {"": 1}}',
            "a key of by_letter cannot be used, wanted str of length >= 1",
        ),
        ("{}", "name is missing"),
        ("[]", "the whole is [], wanted object"),
        ('{"name": NaN}', "it is not JSON: JSON is malformed: invalid character (byte 9)"),
        ("{", "it is not JSON: Input data was truncated"),
        ("[" * 100_000, "it is nested too deeply"),
    ],
)
def test_what_does_not_fit_is_named(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        read_json(text.encode(), Whole)


def test_unknown_fields_are_refused_at_any_depth_where_that_is_wanted() -> None:
    raw = {"name": "a", "parts": [{"share": 1, "size": 2}], "by_name": {"x": {"share": 1, "y": 0}}}
    assert convert(raw, Whole).parts == (Part(1.0),)
    with pytest.raises(ValueError, match=r"^unknown fields: parts\[0\]\.size, by_name\.x\.y, z$"):
        convert({**raw, "z": 1}, Whole, exact=True)
    assert convert({"name": "a", "parts": [{"share": 1}]}, Whole, exact=True).name == "a"


def test_a_value_of_the_outermost_object_is_named() -> None:
    with pytest.raises(ValueError, match=r"^b is 'x', wanted object$"):
        convert({"a": {}, "b": "x"}, dict[str, dict[str, int]])


def test_a_long_value_is_shortened() -> None:
    with pytest.raises(ValueError, match=r"^name is \[0, [0, ]+ \.\.\., wanted str$"):
        convert({"name": [0] * 1000}, Whole)
