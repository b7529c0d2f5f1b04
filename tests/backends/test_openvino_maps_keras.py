"""Maps equal those that Keras' own gradient gives, through the export that engines come from."""

from pathlib import Path

import numpy as np
import pytest

from hambatch.backends.keras_network import build_head, join, keras_for, preprocess
from hambatch.backends.openvino_maps import load
from hambatch.engines.loading import load_engine, write_manifest
from hambatch.engines.manifest import Manifest
from hambatch.training.export.export import export_graph
from tests.backends.contract import batch_of

HIDDEN_UNITS = 20


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (9, 7, 7, 3), dtype=np.uint8)
    return coarse.repeat(32, axis=1).repeat(32, axis=2)


@pytest.fixture(scope="module")
def parts(images: np.ndarray) -> tuple[object, object, object]:
    """Convolutions, average pooling and head, in Keras, of weights that FP16 holds exactly."""
    keras = keras_for("the test")
    layers = keras.layers
    pixels = keras.Input((224, 224, 3))
    first = layers.Conv2D(6, 8, strides=8, activation="relu", name="first")(pixels)
    last = layers.Conv2D(2048, 4, strides=4, activation="relu", name="last")(first)
    convolutions = keras.Model(pixels, last)
    rng = np.random.default_rng(1)
    for kernel in convolutions.weights:
        inputs = max(1, np.prod(kernel.shape[:-1]))
        values = rng.normal(0, inputs**-0.5, kernel.shape).astype(np.float16)
        kernel.assign(values.astype(np.float32))
    pool, head = layers.GlobalAveragePooling2D(), build_head(HIDDEN_UNITS, 0.5, seed=0)
    pooled = np.asarray(pool(convolutions(preprocess(images))))
    hidden = head.get_layer("hidden")
    hidden.kernel.assign(hidden.kernel * 0.5 / (pooled @ hidden.kernel.numpy()).std(axis=0))
    hidden.bias.assign(-(pooled @ hidden.kernel.numpy()).mean(axis=0))
    head.get_layer("logits").bias.assign(rng.normal(0, 0.1, 7))
    for weights in head.weights:
        weights.assign(weights.numpy().astype(np.float16).astype(np.float32))
    return convolutions, pool, head


def gradient_grad_cam(parts: tuple[object, object, object], images: np.ndarray) -> np.ndarray:
    """Grad-CAM as published: the tape's gradients, averaged over space: [n, 7, rows, columns]."""
    import tensorflow as tf

    convolutions, pool, head = parts
    with tf.GradientTape(persistent=True) as tape:
        feature_map = tf.convert_to_tensor(convolutions(preprocess(images), training=False))
        tape.watch(feature_map)
        logits = head(pool(feature_map), training=False)
        each = [logits[:, k] for k in range(7)]
    maps = []
    for score in each:
        weights = tf.reduce_mean(tape.gradient(score, feature_map), axis=(1, 2))
        maps.append(tf.nn.relu(tf.einsum("nk,nijk->nij", weights, feature_map)).numpy())
    return np.stack(maps, axis=1)


def test_maps_are_those_of_keras(
    parts: tuple[object, object, object], images: np.ndarray, tmp_path: Path
) -> None:
    keras = keras_for("the test")
    convolutions, pool, head = parts
    network = join(keras.Model(convolutions.input, pool(convolutions.output)), head)
    variant = export_graph(network, tmp_path, images)
    write_manifest(tmp_path, Manifest("exported", "1", files={}, variants=(variant,)))
    backend = load(load_engine(tmp_path), "fp32", streams=1)
    (scored,) = backend.predict([batch_of(images)])

    expected, found = gradient_grad_cam(parts, images), scored.explained.maps
    assert expected.shape == found.shape == (9, 7, 7, 7)
    active = scored.features @ head.get_layer("hidden").kernel.numpy()
    active += head.get_layer("hidden").bias.numpy()
    assert 0.2 < (active > 0).mean() < 0.8, "units that are all on would not test the ReLU"
    largest = expected.max(axis=(2, 3))
    assert (largest > 0).mean() > 0.8, "maps of zeros would prove nothing"
    difference = np.abs(found - expected).max(axis=(2, 3))
    assert (difference <= 1e-4 * largest + 1e-9).all()
