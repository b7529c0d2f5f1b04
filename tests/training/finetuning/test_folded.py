"""Batch normalisation in the kernels: the same features and the same gradients."""

import numpy as np
import pytest

from hambatch.training.finetuning.folded import fold, without_normalisation


@pytest.fixture
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


def test_features_stay_when_normalisation_is_folded(base) -> None:
    before = base(images(4), training=False)
    fold(base)
    np.testing.assert_allclose(base(images(4), training=False), before, rtol=1e-4)
    np.testing.assert_allclose(without_normalisation(base)(images(4)), before, rtol=1e-4)


def test_a_base_learns_alike_whatever_the_size_of_its_kernels(base) -> None:
    """Kernels 20 times as large before a batch normalisation that makes up for it."""
    first, norm = base.get_layer("conv4_block1_1_conv"), base.get_layer("conv4_block1_1_bn")
    kept = base.get_weights()
    fold(base)
    wanted = first.get_weights()
    base.set_weights(kept)
    first.set_weights([20 * value for value in first.get_weights()])
    gamma, beta, mean, variance = norm.get_weights()
    large = (variance + norm.epsilon) * 400 - norm.epsilon
    norm.set_weights([gamma, beta, 20 * mean, large])
    fold(base)
    for found, value in zip(first.get_weights(), wanted, strict=True):
        np.testing.assert_allclose(found, value, rtol=1e-5, atol=1e-5)


def test_features_follow_each_change_of_the_weights(base) -> None:
    fold(base)
    network = without_normalisation(base)
    kernel = base.get_layer("conv4_block1_1_conv").kernel
    kernel.assign(kernel * 0.5)
    np.testing.assert_allclose(network(images(4)), base(images(4), training=False), rtol=1e-4)


def test_gradients_are_those_of_the_base(base) -> None:
    import tensorflow as tf

    fold(base)
    found = []
    variables = [layer.kernel.value for layer in base.layers if hasattr(layer, "kernel")]
    for network in (base, without_normalisation(base)):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(variables)
            loss = tf.reduce_sum(network(images(4), training=False) ** 2)
        found.append(tape.gradient(loss, variables))
    for one, other in zip(*found, strict=True):
        scale = np.abs(one).max()
        np.testing.assert_allclose(one / scale, other / scale, atol=1e-5)
        assert scale > 0


def test_images_of_another_size_are_taken(base) -> None:
    assert without_normalisation(base)(images(2, 64)).shape == (2, 16)
