"""An image's scores depend on neither its place in a request nor its neighbours there.

Requests hold four images, and which ones share one depends on failures, resumes and batch
sizes; so this is what makes tables the same byte for byte.
"""

import os
import subprocess
import sys

import pytest

CHECK = """
import numpy as np
from hambatch.backends.openvino_cpu import REQUEST_SIZE, load
from hambatch.engines.loading import load_engine
from hambatch.engines.loading import find_engine
from hambatch.engines.options import DEFAULT_ENGINE
from tests.backends.contract import pictures, scores

images = np.concatenate([pictures(3), np.zeros((1, 224, 224, 3), np.uint8)])
assert REQUEST_SIZE == len(images)
engine = load_engine(find_engine(DEFAULT_ENGINE))
backend = load(engine, {precision!r}, 1)
alone = np.concatenate([scores(backend, images[k : k + 1]) for k in range(4)])
for turned in range(4):
    found = np.roll(scores(backend, np.roll(images, turned, axis=0)), -turned, axis=0)
    assert np.array_equal(found, alone), (turned, np.abs(found - alone).max())
backend.close()
print("the same bits in every place")
"""


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["fp32", "int8"])
@pytest.mark.parametrize("kernels", ["SSE41", "AVX2", "AVX2_VNNI", "AVX512_CORE", "DEFAULT"])
def test_the_default_engine_gives_the_same_bits_in_every_place(
    kernels: str, precision: str
) -> None:
    """OpenVINO uses no later kernels than those named; a processor may lack even them."""
    limits = {} if kernels == "DEFAULT" else {"ONEDNN_MAX_CPU_ISA": kernels}
    done = subprocess.run(
        [sys.executable, "-c", CHECK.format(precision=precision)],
        env={**os.environ, **limits},
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == "the same bits in every place", done.stderr
