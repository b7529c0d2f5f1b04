"""A backend's name says library, precision and, where it had to change, the request size."""

import pytest

from hambatch import backends as runtime
from hambatch.backends import runtime_of
from hambatch.engines.sentinels import precision_of


@pytest.mark.parametrize("name", ["tensorrt-fp16", "tensorrt-fp16-b32"])
def test_a_smaller_request_changes_neither_library_nor_precision(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "version", {"tensorrt-cu12-bindings": "11.4"}.__getitem__)
    assert runtime_of(name) == "tensorrt 11.4"
    assert precision_of(name) == "fp16"


def test_other_names_are_read_as_before() -> None:
    assert precision_of("openvino-int8") == "int8"
    assert precision_of("") == ""
    assert runtime_of("") == ""
    assert runtime_of("none-fp32") == "none"
