"""Gradients of kernels by matrix products: the same numbers, where the processor gains by it."""

import numpy as np
import pytest

from hambatch.training.finetuning.folded import fold, without_normalisation
from hambatch.training.finetuning.weight_gradients import are_products_faster, with_product


@pytest.fixture
def base():
    """Kernels of one pixel, one of them with a stride, and one of 3 x 3 pixels."""
    import keras

    layers = keras.layers
    out = inputs = keras.Input((16, 16, 3))
    for name, filters, size, stride in (
        ("conv4_block1_0", 8, 1, 2),
        ("conv4_block1_1", 6, 1, 1),
        ("conv4_block1_2", 6, 3, 1),
    ):
        out = layers.Conv2D(filters, size, stride, padding="same", name=f"{name}_conv")(out)
        out = layers.BatchNormalization(name=f"{name}_bn", epsilon=1e-5)(out)
        out = layers.ReLU()(out)
    network = keras.Model(inputs, layers.GlobalAveragePooling2D()(out))
    fold(network)
    return network


def test_features_and_gradients_are_those_of_the_convolutions(base) -> None:
    import tensorflow as tf

    images = np.random.default_rng(0).normal(0, 1, (4, 16, 16, 3)).astype(np.float32)
    features, found = [], []
    variables = [
        value.value
        for layer in base.layers
        if layer.name.endswith("_conv")
        for value in (layer.kernel, layer.bias)
    ]
    for products in (False, True):
        network = without_normalisation(base, products)
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(variables)
            features.append(network(images))
            loss = tf.reduce_sum(features[-1] ** 2)
        found.append(tape.gradient(loss, variables))
    np.testing.assert_allclose(*features, rtol=1e-5)
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5 * np.abs(one).max())
        assert np.abs(one).max() > 0


def test_larger_kernels_stay_as_they_are(base) -> None:
    layer = base.get_layer("conv4_block1_2_conv")
    assert with_product(layer) is layer
    assert with_product(base.get_layer("conv4_block1_0_conv")) is not layer


@pytest.mark.parametrize(("flags", "faster"), [("avx512_bf16 amx_bf16", True), ("avx2", False)])
def test_products_are_for_processors_with_amx(tmp_path, flags, faster) -> None:
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\nflags\t\t: fpu {flags}\n")
    assert are_products_faster(tmp_path / "cpuinfo") is faster
