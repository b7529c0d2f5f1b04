"""Every name of TensorRT and PyCUDA that the code uses is one that they have.

The listings were made from the libraries themselves, by tools/tensorrt_stubs.py and
tools/pycuda_stubs.py.
"""

import json
from pathlib import Path

import pytest

from tools.names_used import Use, unknown, uses_in, uses_of

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def listings() -> dict[str, dict[str, list[str]]]:
    found = {}
    for name in ("tensorrt_api.json", "pycuda_api.json"):
        found |= json.loads((REPOSITORY / "tools" / name).read_text())["modules"]
    return found


def test_every_name_that_is_used_exists(listings: dict[str, dict[str, list[str]]]) -> None:
    uses = uses_of(REPOSITORY / "hambatch")
    assert {use.module for use in uses} == {"tensorrt", "pycuda.driver"}
    assert len(uses) > 30
    wrong = [
        f"{use.place}: {'.'.join(use.chain)}" for use in uses if unknown(use, listings[use.module])
    ]
    assert not wrong


@pytest.mark.parametrize(
    ("code", "wanted"),
    [
        ("import tensorrt as trt\nconfig.set_flag(trt.BuilderFlag.FP16)", True),
        ("import tensorrt\ntensorrt.BuilderFlag.INT8", True),
        ("def build(trt):\n    trt.BuilderFlag.OBEY_PRECISION_CONSTRAINTS", True),
        ("trt = require('tensorrt', extra='gpu')\ntrt.IInt8Calibrator", True),
        ("from tensorrt import IInt8EntropyCalibrator2", True),
        ("import tensorrt as trt\ndef f(x: 'trt.IAlgorithmSelector'): ...", True),
        ("import tensorrt as trt\ndef f() -> 'list[trt.IAlgorithm]': ...", True),
        ("import tensorrt as trt\ntrt.BuilderFlag.TF32.name", False),
        ("def build(trt, config):\n    config.max_workspace_size = trt.DataType.itemsize", True),
        ("def build(config):\n    config.max_workspace_size = 1", None),
        ("from pycuda import driver\ndriver.memcpy_htod_asynch(1, 2)", True),
        ("import pycuda.driver as cuda\ncuda.Device.retain_context", True),
        ("import pycuda.driver\npycuda.driver.Stream.sync", True),
        ("import pycuda.driver\npycuda.driver.Stream.synchronize", False),
    ],
)
def test_a_name_that_was_removed_or_never_was_is_found(
    code: str, wanted: bool | None, tmp_path: Path, listings: dict[str, dict[str, list[str]]]
) -> None:
    path = tmp_path / "seeded.py"
    path.write_text(code)
    uses: list[Use] = list(uses_in(path))
    assert bool(uses) == (wanted is not None)
    assert any(unknown(use, listings[use.module]) for use in uses) == bool(wanted)
