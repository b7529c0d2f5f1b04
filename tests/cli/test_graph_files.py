"""Every byte that decides an answer has a sha256 in engine.json, in whatever file it lies."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from hambatch.backends import load_backend
from hambatch.cli import hambatch
from hambatch.engines.loading import load_engine
from tests.conftest import jpeg_bytes
from tests.waiting import HANGS_S

GRAPH = "model.onnx"


@pytest.fixture
def engine(tiny_engine: Path, tmp_path: Path) -> Path:
    return shutil.copytree(tiny_engine, tmp_path / "engine")


def seal(folder: Path, *names: str) -> None:
    """Write engine.json anew: it names these files, the graph first, with sizes and hashes."""
    values = json.loads((folder / "engine.json").read_text())
    values.pop("sha256", None)  # of engine.json itself; it may be absent
    values["variants"][0]["file"] = names[0]
    values["files"] = {
        name: {"sha256": sha256_of(path), "bytes": path.stat().st_size, "optional": False}
        for name, path in ((name, folder / name) for name in names)
    }
    (folder / "engine.json").write_text(json.dumps(values))


def sha256_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def run(*arguments: Path | str) -> tuple[int, str]:
    """Give the exit code, and what a user reads, whichever part of the command line refuses."""
    found = CliRunner().invoke(hambatch, list(map(str, arguments)))
    return found.exit_code, f"{found.output}{found.exception}"


def with_external_data(folder: Path) -> None:
    import onnx

    model = onnx.load(folder / GRAPH)
    onnx.save(model, folder / GRAPH, save_as_external_data=True, location="w.bin", size_threshold=0)


def with_external_data_of_a_node(folder: Path) -> None:
    """The same, with the tensor as an attribute instead of an initializer."""
    import onnx

    with_external_data(folder)
    model = onnx.load(folder / GRAPH, load_external_data=False)
    tensor = next(found for found in model.graph.initializer if found.name == "to_logits")
    model.graph.initializer.remove(tensor)
    model.graph.node.insert(0, onnx.helper.make_node("Constant", [], ["to_logits"], value=tensor))
    onnx.save(model, folder / GRAPH)


TENSOR = (7, 5)
"""The fields that lead to an initializer: of the model, of its graph."""

ENTRY = (*TENSOR, 13)
"""To an entry of its external data."""


def rewritten(
    content: bytes, path: tuple[int, ...], change: Callable[[int, bytes], bytes]
) -> bytes:
    """Write a message anew, with other bytes for each field that ``path`` leads to."""
    parts, position = [], 0
    while position < len(content):
        begin = position
        tag, position = number_at(content, position)
        if tag & 7 != 2:
            position = number_at(content, position)[1]
            parts.append(content[begin:position])
            continue
        size, position = number_at(content, position)
        inner, position = content[position : position + size], position + size
        if tag >> 3 != path[0]:
            parts.append(field(tag, inner))
        elif len(path) == 1:
            parts.append(change(tag, inner))
        else:
            parts.append(field(tag, rewritten(inner, path[1:], change)))
    return b"".join(parts)


def number_at(content: bytes, position: int) -> tuple[int, int]:
    """Read a number; gives it and the position behind it."""
    value = shift = 0
    while True:
        byte = content[position]
        value |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            return value, position


def field(tag: int, content: bytes) -> bytes:
    """Write a field of bytes."""
    return number(tag) + number(len(content)) + content


def number(value: int) -> bytes:
    low, rest = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + number(rest) if rest else bytes([low])


def with_another_key(folder: Path) -> None:
    """The key of each entry stands there again as a number, which protobuf passes over."""
    disguise(folder, ENTRY, lambda tag, entry: field(tag, entry + b"\x08\x05"))


def with_a_tag_beyond_32_bits(folder: Path) -> None:
    """Protobuf takes the lower 32 bits of the tag of an initializer."""
    disguise(folder, TENSOR, lambda tag, tensor: field(tag + 2**32, tensor))


def disguise(folder: Path, path: tuple[int, ...], change: Callable[[int, bytes], bytes]) -> None:
    with_external_data(folder)
    content = (folder / GRAPH).read_bytes()
    (folder / GRAPH).write_bytes(rewritten(content, path, change))


def as_an_ir(folder: Path) -> None:
    """OpenVINO's own format under the name of an ONNX file: its weights lie in ``model.bin``."""
    import openvino

    openvino.save_model(openvino.Core().read_model(folder / GRAPH), folder / "model.xml")
    (folder / "model.xml").rename(folder / GRAPH)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (with_external_data, "reads weights from 'w.bin', of which engine.json has no sha256"),
        (with_external_data_of_a_node, "reads weights from 'w.bin'"),
        (with_another_key, "field 1 of an entry of external data is not a key or a value"),
        (with_a_tag_beyond_32_bits, "it is no ONNX model: it has a field "),
        (as_an_ir, "it is no ONNX model, wanted ONNX"),
    ],
)
def test_a_graph_with_weights_in_a_file_without_a_sha256_is_refused(
    engine: Path, change: Callable[[Path], None], words: str
) -> None:
    change(engine)
    seal(engine, GRAPH)
    code, said = run("engines", "verify", engine)
    assert code == 1, said
    assert words in said
    assert "\nNext: " in said


def test_weights_beside_the_graph_score_once_they_are_named(engine: Path, tmp_path: Path) -> None:
    source, whole, parts = tmp_path / "source", tmp_path / "whole.csv", tmp_path / "parts.csv"
    source.mkdir()
    (source / "a.jpg").write_bytes(jpeg_bytes(1))
    command = ["score", source, "--engine", engine, "--device", "cpu", "--out"]
    assert run(*command, whole)[0] == 0
    with_external_data(engine)
    seal(engine, GRAPH, "w.bin")
    assert run(*command, parts)[0] == 0
    assert parts.read_bytes() == whole.read_bytes()
    (engine / "w.bin").write_bytes(bytes((engine / "w.bin").stat().st_size))
    code, said = run(*command, parts, "--overwrite")
    assert code == 1
    assert "w.bin is not the file that the engine was made with" in said


def test_a_file_of_another_size_is_refused_before_it_is_read(engine: Path) -> None:
    os.truncate(engine / GRAPH, 100_000_000)
    code, said = run("engines", "verify", engine)
    assert code == 1
    assert "100,000,000 bytes, wanted " in said


@pytest.mark.parametrize("name", ["model.pdmodel", "model.meta"])
def test_a_graph_is_read_as_onnx_whatever_its_name_is(engine: Path, name: str) -> None:
    """Other formats take weights from files beside them, and a file can have two formats."""
    (engine / GRAPH).rename(engine / name)
    seal(engine, name)
    code, said = run("engines", "verify", engine)
    assert code == 0, said


def test_weights_that_change_during_a_run_change_no_score(engine: Path) -> None:
    with_external_data(engine)
    seal(engine, GRAPH, "w.bin")
    backend = load_backend("openvino", load_engine(engine), "fp32", streams=1)
    mapped = Path("/proc/self/maps").read_text()
    backend.close()
    assert "w.bin" not in mapped


def with_an_unknown_operator(model: Any) -> None:
    model.graph.node[0].domain, model.graph.node[0].op_type = "other", "\x1b[31mEvil"


def with_three_rows_an_image(model: Any) -> None:
    from onnx import helper

    follow_logits(model, "Tile", helper.make_tensor("more", 7, [2], [3, 1]))


def with_any_number_of_rows(model: Any) -> None:
    """Rows whose second logit is 0 are left out: the others would move up."""
    from onnx import helper

    follow_logits(model, "Cast", to=9, rename="kept")
    model.graph.node.append(helper.make_node("Compress", ["all", "column"], ["logits"], axis=0))
    second = helper.make_tensor("second", 7, [], [1])
    model.graph.initializer.append(second)
    model.graph.node.insert(-1, helper.make_node("Gather", ["kept", "second"], ["column"], axis=1))


def with_more_than_any_memory(model: Any) -> None:
    """A constant of 256 TiB: more than a process can address, whatever the system promises it."""
    from onnx import helper

    size = helper.make_tensor("size", 7, [3], [2**16, 2**15, 2**15])
    model.graph.initializer.append(size)
    model.graph.node.append(helper.make_node("ConstantOfShape", ["size"], ["large"]))
    model.graph.node.append(helper.make_node("ReduceMax", ["large"], ["zero"], keepdims=0))
    follow_logits(model, "Add", "zero")


def follow_logits(
    model: Any, operator: str, other: Any = None, rename: str = "logits", **how: Any
) -> None:
    """Put a node behind the logits, which are called ``all`` from then on."""
    from onnx import helper

    for node in model.graph.node:
        if node.output[0] == "logits":
            node.output[0] = "all"
    names = ["all"]
    if isinstance(other, str):
        names.append(other)
    elif other is not None:
        model.graph.initializer.append(other)
        names.append(other.name)
    model.graph.node.append(helper.make_node(operator, names, [rename], **how))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (with_an_unknown_operator, "No conversion rule found for operations: other.%1B[31mEvil"),
        (with_three_rows_an_image, "'logits': 'float32 [12,7]'"),
        (with_any_number_of_rows, "'logits': 'float32 [?,7]', 'features': 'float32 [4,2048]'"),
        (with_more_than_any_memory, "too little memory"),
    ],
)
def test_a_graph_that_cannot_be_run_is_refused_with_what_is_wrong(
    engine: Path, change: Callable[[Any], None], words: str
) -> None:
    import onnx

    model = onnx.load(engine / GRAPH)
    change(model)
    onnx.save(model, engine / GRAPH)
    seal(engine, GRAPH)
    done = subprocess.run(
        [sys.executable, "-m", "hambatch", "engines", "verify", str(engine)],
        capture_output=True,
        text=True,
        check=False,
        timeout=HANGS_S,
    )
    assert done.returncode == 1
    assert words in done.stderr
    assert "\nNext: " in done.stderr
    assert "Traceback" not in done.stderr
