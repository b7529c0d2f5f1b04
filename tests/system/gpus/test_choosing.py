"""A GPU that is asked for is there, or one message says what is."""

import pytest

from hambatch.errors import BackendError
from hambatch.system.gpus import Gpu, Probe, chosen_gpu

CARD = Gpu(0, "NVIDIA Made-Up", (8, 9), 24 * 10**9, "")
HEALTHY = Probe("580.1", 12040, (CARD,), "", "")


def test_a_machine_without_a_gpu_says_what_to_type() -> None:
    probe = Probe("", 0, (), "no NVIDIA driver was found", "hambatch doctor")
    with pytest.raises(BackendError, match=r"(?s)no NVIDIA driver.*Next: hambatch doctor"):
        chosen_gpu(probe, 0)


def test_a_gpu_that_is_not_there_is_refused_with_those_that_are() -> None:
    assert chosen_gpu(HEALTHY, 0) is CARD
    with pytest.raises(BackendError, match=r"no GPU 3 here; there is: 0 \(NVIDIA Made-Up\)"):
        chosen_gpu(HEALTHY, 3)
