"""mypy knows TensorRT and PyCUDA from stubs made from them, and finds names that they lack."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[3]

STUBS = {"tensorrt": "tensorrt/__init__.pyi", "pycuda": "pycuda/driver.pyi"}

SEEDED = """
import tensorrt as trt
from pycuda import driver
def build(builder: trt.Builder, context: trt.IExecutionContext, stream: driver.Stream) -> None:
    config = builder.create_builder_config()
    config.set_flag(trt.BuilderFlag.TF32)
    config.set_flag(trt.BuilderFlag.FP16)
    config.max_workspace_size = 1 << 30
    context.execute_async_v3(stream.handle)
    context.execute_async_v2([0], stream.handle)
    context.set_tensor_address(0, "images")
    stream.wait()
"""


@pytest.mark.parametrize("library", STUBS)
def test_a_stub_has_no_name_that_the_library_lacks(library: str) -> None:
    listing = json.loads((REPOSITORY / "tools" / f"{library}_api.json").read_text())
    (names,) = listing["modules"].values()
    tree = ast.parse((REPOSITORY / "typings" / STUBS[library]).read_text())
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    assert len(classes) > 20
    for node in classes:
        members = {m.name for m in node.body if isinstance(m, ast.FunctionDef | ast.ClassDef)}
        wrong = {m for m in members if not m.startswith("_")} - set(names[node.name])
        assert not wrong, node.name


def test_mypy_finds_removed_names_and_wrong_arguments(tmp_path: Path) -> None:
    path = tmp_path / "seeded.py"
    path.write_text(SEEDED)
    command = [sys.executable, "-m", "mypy", "--config-file", "setup.cfg", str(path)]
    cache = ["--cache-dir", str(tmp_path / "cache")]
    done = subprocess.run([*command, *cache], cwd=REPOSITORY, capture_output=True, text=True)
    lines = {int(line.split(":")[1]) for line in done.stdout.splitlines() if ": error:" in line}
    assert lines == {7, 8, 10, 11, 12}, done.stdout
