"""ONNX Runtime on the engine's own ONNX file; Pillow decodes in a pool of threads.

The next batch is decoded while one is being inferred.
"""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
from PIL import Image

from contenders.meter import Meter, Run
from contenders.task import SIDE, Setting, Task
from hambatch.engines.manifest import read_manifest

BATCHES = (1, 8, 32)

Futures = list[Future[np.ndarray[Any, np.dtype[np.uint8]]]]


def settings(task: Task) -> list[Setting]:
    """One decoding thread or one a core; inference has a thread a core."""
    threads = sorted({1, task.cores})
    return [{"batch": batch, "decode_threads": t} for batch in BATCHES for t in threads]


def build(task: Task, setting: Setting) -> Callable[[], Run]:
    """Score every file's picture."""
    session, batch = _session(task), int(setting["batch"])
    name = session.get_inputs()[0].name
    files = task.files
    groups = [files[start : start + batch] for start in range(0, len(files), batch)]

    def run() -> Run:
        meter, scored = Meter(), 0
        with ThreadPoolExecutor(int(setting["decode_threads"])) as pool:
            ahead: Futures = [pool.submit(_decode, file) for file in groups[0]]
            for following in [*groups[1:], []]:
                decoding, ahead = ahead, [pool.submit(_decode, file) for file in following]
                images = np.stack([future.result() for future in decoding])
                scored += len(session.run(["logits"], {name: images})[0])
        assert scored == len(files)
        return Run(scored, meter.spent())

    return run


def _session(task: Task) -> Any:
    import onnxruntime

    variants = read_manifest(task.engine).variants
    graph = next(v.file for v in variants if v.precision == task.precision)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = task.cores
    path = str(task.engine / graph)
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def _decode(path: str) -> np.ndarray[Any, np.dtype[np.uint8]]:
    with Image.open(path) as image:
        upright = image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    return np.asarray(upright)
