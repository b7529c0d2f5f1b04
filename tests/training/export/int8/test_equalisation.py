import numpy as np
import pytest

from hambatch.errors import EngineError
from hambatch.training.export.int8.equalisation import channel_maxima, equalise
from hambatch.training.export.int8.running import one_by_one


def test_equalising_changes_no_output(residual, copied, calibration, others):
    equalise(copied.graph, channel_maxima(copied, calibration), 0.5)
    for name in ("features", "logits"):
        before, after = (
            np.concatenate([v[0].copy() for v in one_by_one(m.SerializeToString(), others, [name])])
            for m in (residual, copied)
        )
        np.testing.assert_allclose(after, before, atol=2e-5 * np.abs(before).max())


def test_equalising_brings_channels_nearer_to_each_other(copied, calibration):
    before = channel_maxima(copied, calibration)
    equalise(copied.graph, before, 1.0)
    after = channel_maxima(copied, calibration)
    assert after["relu_2"].max() / after["relu_2"].min() < 1.001
    assert before["relu_2"].max() / before["relu_2"].min() > 2


def test_equalising_refuses_an_operator_that_would_change_the_answer(copied, calibration):
    (relu,) = [node for node in copied.graph.node if node.name == "relu_4"]
    relu.op_type = "Sigmoid"
    with pytest.raises(EngineError, match="Sigmoid"):
        equalise(copied.graph, channel_maxima(copied, calibration), 0.5)
