"""A backend's name says library, precision and, where it had to change, the request size."""

import pytest

from hambatch import backends as runtime
from hambatch.backends import runtime_of
from hambatch.engines.backend_names import BackendName, graph_precision, parse_backend


@pytest.mark.parametrize("name", ["tensorrt-fp16", "tensorrt-fp16-b32"])
def test_a_smaller_request_changes_neither_library_nor_precision(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "version", {"tensorrt-cu12-bindings": "11.4"}.__getitem__)
    assert runtime_of(name) == "tensorrt 11.4"
    assert parse_backend(name).precision == "fp16"


def test_every_part_of_a_name_is_read() -> None:
    assert parse_backend("openvino-int8") == BackendName("openvino", "int8")
    assert parse_backend("openvino-int8-bf16") == BackendName("openvino", "int8-bf16")
    assert parse_backend("openvino-bf16") == BackendName("openvino", "bf16")
    assert parse_backend("tensorrt-fp16-b32") == BackendName("tensorrt", "fp16", 32)
    assert parse_backend("") == BackendName("")
    assert parse_backend("none") == BackendName("none")
    # More digits than Python reads: no size of a request.
    assert parse_backend(f"tensorrt-fp16-b{'9' * 5000}").request_size == 0


def test_what_runs_the_int8_graph_names_its_form() -> None:
    assert runtime_of("openvino-int8-bf16") == runtime_of("openvino-int8")
    assert runtime_of("openvino-bf16") == runtime_of("openvino-fp32")
    assert runtime_of("openvino-int8") == f"{runtime_of('openvino-fp32')}, unsigned activations"
    assert runtime_of("") == ""
    assert runtime_of("none-fp32") == "none"


def test_every_precision_runs_a_graph_that_an_engine_has() -> None:
    found = [graph_precision(precision) for precision in ("fp32", "fp16", "bf16", "int8-bf16")]
    assert found == ["fp32", "fp32", "fp32", "int8"]
