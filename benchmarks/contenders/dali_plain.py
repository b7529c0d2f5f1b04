"""A plain DALI pipeline, as its tutorials write it: `fn.readers.file`, decode, resize.

No hashes, no checks, no bytes that pass through Python: what decoding can do.
"""

from collections.abc import Callable
from typing import Any

from contenders.meter import Meter, Run
from contenders.task import SIDE, Setting, Task

BATCHES = (16, 32, 64)

PREFETCH = 2
"""DALI's own default."""


def settings(task: Task) -> list[Setting]:
    """One thread or one a core."""
    threads = sorted({1, task.cores})
    return [{"threads": t, "batch": batch} for t in threads for batch in BATCHES]


def build(task: Task, setting: Setting) -> Callable[[], Run]:
    """Time whole batches of a pipeline that keeps going round the files."""
    batch = int(setting["batch"])
    pipeline = _pipeline(task, batch, int(setting["threads"]))
    iterations = max(2, round(len(task.names) / batch))

    def run() -> Run:
        # What was decoded ahead, before the clock starts, is not timed.
        for _ in range(PREFETCH + 1):
            pipeline.run()
        meter = Meter()
        for _ in range(iterations):
            pipeline.run()
        return Run(iterations * batch, meter.spent())

    return run


def _pipeline(task: Task, batch: int, threads: int) -> Any:
    from nvidia.dali import fn, pipeline_def, types

    @pipeline_def(
        batch_size=batch, num_threads=threads, device_id=None, prefetch_queue_depth=PREFETCH
    )
    def plain() -> Any:
        encoded, _ = fn.readers.file(files=task.files)
        images = fn.decoders.image(encoded, device="cpu", output_type=types.RGB)
        return fn.resize(
            images, size=[SIDE, SIDE], interp_type=types.INTERP_LINEAR, antialias=False
        )

    pipeline = plain()
    pipeline.build()
    return pipeline
