"""Keras: `model.predict` over a `tf.data` pipeline of the folder.

The same network, untrained: weights cost no time.
"""

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context
from typing import Any

import numpy as np

from contenders.meter import Meter, Run
from contenders.task import SIDE, Setting, Task

BATCHES = (16, 32, 64)


def settings(task: Task) -> list[Setting]:
    """TensorFlow shares the cores itself."""
    return [{"batch": batch} for batch in BATCHES]


def build(task: Task, setting: Setting) -> Callable[[], Run]:
    """Predict every file's picture, in a process of its own each time, as a script does.

    The same loop runs at 28 images/s in some processes and at 19.5 in others; within one
    process it may change from turn to turn.
    """

    def run() -> Run:
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            return pool.submit(timed, task, int(setting["batch"])).result()

    return run


def timed(task: Task, batch: int) -> Run:
    """Predict all pictures, once the network has seen a few batches."""
    predict(task.files[: 2 * batch], batch)
    meter = Meter()
    predict(task.files, batch)
    return Run(len(task.files), meter.spent())


def predict(names: list[str], batch: int) -> None:
    """Run the loop."""
    import tensorflow as tf

    network, mean = _network(), tf.constant([103.939, 116.779, 123.68])

    def load(path: Any) -> Any:
        image = tf.io.decode_jpeg(tf.io.read_file(path), channels=3)
        return tf.image.resize(image, (SIDE, SIDE))

    files = tf.data.Dataset.from_tensor_slices(names)
    images = files.map(load, num_parallel_calls=tf.data.AUTOTUNE).batch(batch)
    ready = images.map(lambda x: x[..., ::-1] - mean).prefetch(tf.data.AUTOTUNE)
    assert len(network.predict(ready, verbose=0)["logits"]) == len(names)


@cache
def _network() -> Any:
    from hambatch.backends.keras_network import build_base, build_head, join, preprocess

    probe = np.full((1, 1, 1, 3), 7.0, np.float32)
    wanted = probe[..., ::-1] - np.array([103.939, 116.779, 123.68])
    assert np.allclose(preprocess(probe), wanted), "not what `ready` above computes"
    return join(build_base(None), build_head(512, 0.5, 0))
