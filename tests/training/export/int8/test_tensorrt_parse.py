"""TensorRT takes the committed engine's INT8 graph: TensorRT-RTX builds it without a GPU."""

from typing import Any

import pytest

from hambatch.engines.loading import find_engine, load_engine
from hambatch.engines.options import DEFAULT_ENGINE

trt = pytest.importorskip(
    "tensorrt_rtx_bindings",
    reason="TensorRT-RTX has wheels for Linux on x86-64 only",
)


@pytest.fixture
def content() -> bytes:
    engine = load_engine(find_engine(DEFAULT_ENGINE))
    return (engine.folder / engine.variant("int8").file).read_bytes()


@pytest.mark.slow
def test_tensorrt_rtx_parses_and_builds_the_int8_graph(content: bytes) -> None:
    logger = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(logger)
    network = builder.create_network(0)
    parser = trt.OnnxParser(network, logger)
    assert parser.parse(content), [str(parser.get_error(k)) for k in range(parser.num_errors)]
    config = builder.create_builder_config()
    profile = builder.create_optimization_profile()
    profile.set_shape("images", *sizes(1, 8, 32))
    config.add_optimization_profile(profile)
    plan = builder.build_serialized_network(network, config)
    assert plan is not None
    # Weights of a byte each: less than half of what FP32 takes, 94 MB.
    assert plan.nbytes < 47e6


def sizes(*batches: int) -> list[Any]:
    return [trt.Dims([batch, 224, 224, 3]) for batch in batches]
