"""A plan is tried in the slots that score later; here they lie in host memory."""

from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from hambatch.backends.tensorrt.plans.invariance import Images, measure_invariance
from hambatch.backends.tensorrt.plans.trial import compare_sentinels, predict_in_slots
from hambatch.engines.loading import Engine, load_engine
from hambatch.errors import EngineError
from tests.backends.tensorrt.host_engine import HostEngine
from tests.backends.tensorrt.host_memory import HostDevice
from tests.backends.tensorrt.plans.rtx import openvino_predict


def test_slots_of_every_size_answer_and_give_everything_back(tiny_engine: Path) -> None:
    engine = load_engine(tiny_engine)
    images = np.random.default_rng(4).integers(0, 256, (4, 224, 224, 3), np.uint8)
    device = HostDevice()
    make_context = HostEngine(device, engine).make_context
    with device.current(), ExitStack() as owned:
        predict = predict_in_slots(device, make_context, engine.manifest, owned)
        found = predict(images[:3])
        invariance = measure_invariance(predict, images, 5, tolerance=1e-4)
    # It fails if a byte or a stream is left.
    device.close()
    wanted = openvino_predict((tiny_engine / "model.onnx").read_bytes())(images[:3])
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    assert invariance.holds


def test_a_plan_with_other_scores_of_the_sentinels_is_refused(
    default_engine: Engine, sentinels: Images
) -> None:
    with pytest.raises(EngineError, match="a probability of a sentinel"):
        compare_sentinels(
            default_engine, "fp16", lambda images: np.zeros((1, 7), np.float32), sentinels
        )
