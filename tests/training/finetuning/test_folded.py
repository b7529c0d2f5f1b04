"""Batch normalisation in the kernels: the same features and the same gradients."""

import numpy as np
import pytest

from hambatch.training.finetuning.folded import folded


@pytest.fixture(scope="module")
def base():
    """Two convolutions, one that halves a padded image, with statistics that are not 0 and 1."""
    import keras

    layers = keras.layers
    out = inputs = keras.Input((32, 32, 3))
    out = layers.Conv2D(8, 3, padding="same", name="conv4_block1_1_conv")(out)
    out = layers.BatchNormalization(name="conv4_block1_1_bn", epsilon=1e-5)(out)
    out = layers.ZeroPadding2D(1)(layers.ReLU()(out))
    out = layers.Conv2D(16, 3, strides=2, name="conv5_block1_1_conv")(out)
    out = layers.BatchNormalization(name="conv5_block1_1_bn", epsilon=1e-5)(out)
    network = keras.Model(inputs, layers.GlobalAveragePooling2D()(layers.ReLU()(out)))
    draw = np.random.default_rng(0)
    for weight in network.weights:
        weight.assign(draw.uniform(0.5, 2, weight.shape) * draw.choice([-1, 1], weight.shape))
        if "variance" in weight.path:
            weight.assign(abs(weight))
    return network


def images(n: int, side: int = 32):
    return np.random.default_rng(n).normal(0, 1, (n, side, side, 3)).astype(np.float32)


def test_features_are_those_of_the_base_after_each_change_of_its_weights(base) -> None:
    network = folded(base)
    np.testing.assert_allclose(network(images(4)), base(images(4), training=False), rtol=1e-4)
    kernel = base.get_layer("conv4_block1_1_conv").kernel
    kernel.assign(kernel * 0.5)
    np.testing.assert_allclose(network(images(4)), base(images(4), training=False), rtol=1e-4)


def test_gradients_are_those_of_the_base(base) -> None:
    import tensorflow as tf

    found = []
    variables = [layer.kernel.value for layer in base.layers if hasattr(layer, "kernel")]
    for network in (base, folded(base)):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(variables)
            loss = tf.reduce_sum(network(images(4), training=False) ** 2)
        found.append(tape.gradient(loss, variables))
    for one, other in zip(*found, strict=True):
        scale = np.abs(one).max()
        np.testing.assert_allclose(one / scale, other / scale, atol=1e-5)
        assert scale > 0


def test_images_of_another_size_are_taken(base) -> None:
    assert folded(base)(images(2, 64)).shape == (2, 16)
