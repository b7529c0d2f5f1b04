"""Keras: `model.predict` over a `tf.data` pipeline of the folder.

The same network, untrained: weights cost no time.
"""

import time
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from contenders.task import SIDE, Setting, Task

BATCHES = (16, 32, 64)


def settings(task: Task) -> list[Setting]:
    """TensorFlow shares the cores itself."""
    return [{"batch": batch} for batch in BATCHES]


def build(task: Task, setting: Setting) -> Callable[[], float]:
    """Predict every file's picture."""
    import tensorflow as tf

    network, mean = _network(), tf.constant([103.939, 116.779, 123.68])

    def load(path: Any) -> Any:
        image = tf.io.decode_jpeg(tf.io.read_file(path), channels=3)
        return tf.image.resize(image, (SIDE, SIDE))

    def run() -> float:
        started = time.perf_counter()
        files = tf.data.Dataset.from_tensor_slices(task.files)
        images = files.map(load, num_parallel_calls=tf.data.AUTOTUNE).batch(int(setting["batch"]))
        ready = images.map(lambda x: x[..., ::-1] - mean).prefetch(tf.data.AUTOTUNE)
        assert len(network.predict(ready, verbose=0)["logits"]) == len(task.names)
        return len(task.names) / (time.perf_counter() - started)

    return run


@cache
def _network() -> Any:
    from hambatch.training.network import build_base, build_head, join, preprocess

    probe = np.full((1, 1, 1, 3), 7.0, np.float32)
    wanted = probe[..., ::-1] - np.array([103.939, 116.779, 123.68])
    assert np.allclose(preprocess(probe), wanted), "not what `ready` above computes"
    return join(build_base(None), build_head(512, 0.5, 0))
