"""A plan is tried in the slots that score later; here they lie in host memory."""

from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from hambatch.backends.tensorrt.plans.invariance import measure_invariance
from hambatch.backends.tensorrt.plans.trial import predict_in_slots
from hambatch.engines.loading import load_engine
from tests.backends.tensorrt.plans.rtx import openvino_predict

NEEDS = "the host-memory device is not in this checkout"


def test_slots_of_every_size_answer_and_give_everything_back(tiny_engine: Path) -> None:
    host = pytest.importorskip("tests.backends.tensorrt.host_memory", reason=NEEDS)
    on_host = pytest.importorskip("tests.backends.tensorrt.host_engine", reason=NEEDS)
    engine = load_engine(tiny_engine)
    images = np.random.default_rng(4).integers(0, 256, (4, 224, 224, 3), np.uint8)
    device = host.HostDevice()
    make_context = on_host.HostEngine(device, engine).make_context
    with device.current(), ExitStack() as owned:
        predict = predict_in_slots(device, make_context, engine.manifest, owned)
        found = predict(images[:3])
        invariance = measure_invariance(predict, images, 5, tolerance=1e-4)
    # It tells of every byte and stream that is left.
    device.close()
    wanted = openvino_predict((tiny_engine / "model.onnx").read_bytes())(images[:3])
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    assert invariance.holds
