"""hambatch's OpenVINO backend alone, on arrays that are ready."""

from collections.abc import Callable

import numpy as np

from contenders.meter import Meter, Run
from contenders.task import SIDE, Setting, Task
from hambatch.backends import load_backend
from hambatch.engines.loading import load_engine
from hambatch.scoring.options import ScoreOptions
from hambatch.types import Batch


def settings(task: Task) -> list[Setting]:
    """As `hambatch score` does it out of the box."""
    return [{"batch_size": ScoreOptions().batch_size, "streams": task.cores}]


def build(task: Task, setting: Setting) -> Callable[[], Run]:
    """Score as many images as there are pictures."""
    size, count = int(setting["batch_size"]), len(task.names)
    streams = int(setting["streams"])
    backend = load_backend("openvino", load_engine(task.engine), task.precision, streams)
    pixels = np.random.default_rng(0).integers(0, 256, (size, SIDE, SIDE, 3), np.uint8)
    sizes = [min(size, count - start) for start in range(0, count, size)]

    def run() -> Run:
        meter = Meter()
        batches = (Batch(np.arange(n), pixels[:n], ["dali-cpu"] * n, [""] * n) for n in sizes)
        assert sum(len(scored.logits) for scored in backend.predict(batches)) == count
        return Run(count, meter.spent())

    return run
