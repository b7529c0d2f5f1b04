"""The real build code, against TensorRT-RTX: what builds, what is refused, what is said."""

import signal
import sys
import time
from dataclasses import replace
from subprocess import PIPE, Popen

import onnx
import pytest
from onnx import TensorProto, helper

from hambatch.backends.tensorrt.options import BuildOptions
from hambatch.backends.tensorrt.plans.builder import build_plan, configure
from hambatch.backends.tensorrt.runtime import log_of
from hambatch.engines.loading import Engine
from hambatch.engines.manifest import InputSpec
from hambatch.errors import BackendError, EngineError
from tests.backends.tensorrt.plans.rtx import Phases, rtx

trt = rtx()

SPEC = InputSpec()
OPTIONS = BuildOptions(max_batch=8, workspace_megabytes=1024)

# Of the weights alone: 23.6 million in the convolutions, 1.05 million in the head. Of the former,
# the INT8 graph has 3.4 million in FP32.
SIZES = {"fp32": (94e6, 105e6), "fp16": (47e6, 53e6), "int8": (24e6, 47e6)}


@pytest.mark.slow
@pytest.mark.parametrize("precision", SIZES)
def test_every_precision_of_the_default_engine_builds(
    default_engine: Engine, half: bytes, precision: str
) -> None:
    content = half
    if precision != "fp16":
        content = (default_engine.folder / default_engine.variant(precision).file).read_bytes()
    phases = Phases()
    built = build_plan(trt, content, OPTIONS, SPEC, phases)
    smallest, largest = SIZES[precision]
    assert smallest < len(built.plan) < largest
    assert built.timing is None
    assert phases.steps > 0
    assert sorted(phases.begun) == sorted(phases.over) != []


@pytest.mark.parametrize("compatible", [False, True])
def test_fp32_is_no_tf32_and_slots_are_independent(compatible: bool) -> None:
    config = trt.Builder(log_of(trt)).create_builder_config()
    config.set_flag(trt.BuilderFlag.TF32)
    options = BuildOptions(workspace_megabytes=100, version_compatible=compatible)
    configure(trt, config, replace(options, hardware_compatible=compatible))
    assert not config.get_flag(trt.BuilderFlag.TF32)
    assert config.get_flag(trt.BuilderFlag.DISTRIBUTIVE_INDEPENDENCE)
    assert config.get_memory_pool_limit(trt.MemoryPoolType.WORKSPACE) == 10**8
    assert config.get_flag(trt.BuilderFlag.VERSION_COMPATIBLE) == compatible


def test_the_flags_that_make_a_plan_fit_elsewhere_build(tiny: bytes) -> None:
    options = BuildOptions(max_batch=4, workspace_megabytes=64, hardware_compatible=True)
    assert build_plan(trt, tiny, options, SPEC, Phases()).plan


def test_ctrl_c_ends_a_build_at_its_next_step(tiny: bytes) -> None:
    whole, stopped = Phases(), Phases(stop_at=1)
    build_plan(trt, tiny, OPTIONS, SPEC, whole)
    with pytest.raises(KeyboardInterrupt):
        build_plan(trt, tiny, OPTIONS, SPEC, stopped)
    assert stopped.steps < whole.steps


BUILD = """
import signal, sys
from pathlib import Path

signal.signal(signal.SIGINT, signal.default_int_handler)
import tensorrt_rtx_bindings as trt
from hambatch.engines.manifest import InputSpec
from hambatch.backends.tensorrt.options import BuildOptions
from hambatch.backends.tensorrt.plans.builder import build_plan

class Prints:
    def start(self, phase, steps):
        print("began", flush=True)
    def step(self, phase): ...
    def finish(self, phase): ...

build_plan(trt, Path(sys.argv[1]).read_bytes(), BuildOptions(max_batch=8), InputSpec(), Prints())
print("built")
"""


@pytest.mark.parametrize("seconds", [0.0, 0.1])
def test_a_signal_while_tensorrt_works_ends_the_build(
    default_engine: Engine, seconds: float
) -> None:
    graph = str(default_engine.folder / "model.onnx")
    command = [sys.executable, "-c", BUILD, graph]
    with Popen(command, stdout=PIPE, stderr=PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "began\n"
        time.sleep(seconds)
        process.send_signal(signal.SIGINT)
        said, wrong = process.communicate()
    assert "built" not in said
    assert wrong.splitlines()[-1] == "KeyboardInterrupt"


def test_a_transpose_of_uint8_is_caught_and_named() -> None:
    first = helper.make_node("Transpose", ["images"], ["planes"], "turn", perm=[0, 3, 1, 2])
    rest = helper.make_node("Cast", ["planes"], ["floats"], "widen", to=TensorProto.FLOAT)
    with pytest.raises(EngineError, match=r"(?s)Transpose node 'turn'.*Next: hambatch export"):
        build_plan(trt, graph([first, rest]), OPTIONS, SPEC, Phases())


def test_everything_that_the_parser_refuses_is_reported() -> None:
    strange = [
        helper.make_node("Cast", ["images"], ["floats"], "widen", to=TensorProto.FLOAT),
        helper.make_node("Celsius", ["floats"], ["a"], "first", domain="no.such"),
        helper.make_node("Kelvin", ["floats"], ["b"], "second", domain="no.such"),
    ]
    with pytest.raises(EngineError) as refused:
        build_plan(trt, graph(strange, source="floats"), OPTIONS, SPEC, Phases())
    said = str(refused.value)
    assert "'first'" in said
    assert "'second'" in said


def test_a_fixed_batch_is_refused_with_what_was_found(tiny: bytes) -> None:
    model = onnx.load_from_string(tiny)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 4
    with pytest.raises(EngineError, match=r"(?s)found .*\[4,224,224,3\].*has to be dynamic"):
        build_plan(trt, model.SerializeToString(), OPTIONS, SPEC, Phases())


def test_other_outputs_are_refused(tiny: bytes) -> None:
    model = onnx.load_from_string(tiny)
    del model.graph.output[1]
    with pytest.raises(EngineError, match=r"built for the graph's outputs.*features"):
        build_plan(trt, model.SerializeToString(), OPTIONS, SPEC, Phases())


def test_what_is_no_graph_is_refused() -> None:
    with pytest.raises(EngineError, match="does not take this graph"):
        build_plan(trt, b"no graph", OPTIONS, SPEC, Phases())


def test_a_builder_that_cannot_be_had_is_one_message(tiny: bytes) -> None:
    class Without:
        """TensorRT with a driver that fails: what its bindings say then."""

        __version__ = "11.4"
        ILogger = trt.ILogger

        @staticmethod
        def Builder(log: object) -> None:
            raise TypeError("pybind11::init(): factory function returned nullptr")

    with pytest.raises(BackendError, match=r"(?s)cannot build the plan.*Next: "):
        build_plan(Without, tiny, OPTIONS, SPEC, Phases())


@pytest.fixture
def tiny(tiny_engine):
    return (tiny_engine / "model.onnx").read_bytes()


def graph(nodes: list[onnx.NodeProto], source: str = "floats") -> bytes:
    """Add the usual input, and outputs from ``source``."""
    flat = helper.make_node("ReduceMean", [source, "sides"], ["features"], "mean", keepdims=0)
    last = helper.make_node("Identity", ["features"], ["logits"], "last")
    images = helper.make_tensor_value_info("images", TensorProto.UINT8, ["batch", 224, 224, 3])
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", None])
        for name in ("logits", "features")
    ]
    sides = helper.make_tensor("sides", TensorProto.INT64, [2], [2, 3])
    made = helper.make_graph([*nodes, flat, last], "odd", [images], outputs, [sides])
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("no.such", 1)]
    content: bytes = helper.make_model(made, opset_imports=opsets, ir_version=9).SerializeToString()
    return content
