import numpy as np
import pytest

from hambatch.engines.probabilities import compare
from hambatch.errors import EngineError
from hambatch.training.export.parity import FP16_STORED_LIMITS, FP32_LIMITS, refuse_beyond


def table(difference):
    """Two tables of probabilities, apart by ``difference``, labels the same."""
    expected = np.tile([0.5, 0.3, 0.1, 0.1, 0.0, 0.0, 0.0], (8, 1))
    found = expected.copy()
    found[3, :2] += [difference, -difference]
    return expected, found


def test_a_changed_label_is_refused_however_small_the_difference():
    expected = np.full((8, 7), 1 / 7)
    expected[:, 0] += 1e-6
    found = expected.copy()
    found[2, 1] += 2e-6
    measured = compare(expected, found)
    assert measured["label_flips"] == 1
    with pytest.raises(EngineError, match="1 labels change"):
        refuse_beyond(FP16_STORED_LIMITS, measured, "FP16-stored")


@pytest.mark.parametrize(("limits", "limit"), [(FP32_LIMITS, 1e-4), (FP16_STORED_LIMITS, 2e-3)])
def test_the_limit_is_where_it_is_said_to_be(limits, limit):
    refuse_beyond(limits, compare(*table(0.9 * limit)), "FP32")
    with pytest.raises(EngineError, match="probabilities differ by up to"):
        refuse_beyond(limits, compare(*table(1.1 * limit)), "FP32")


def test_not_a_number_is_refused():
    with pytest.raises(EngineError):
        refuse_beyond(FP32_LIMITS, compare(*table(np.nan)), "FP32")
