"""Keras networks whose normalisation and biases do something, and whose answers vary."""

from typing import Any

import numpy as np
import pytest

from hambatch.backends.keras_network import build_head, join, keras_for, preprocess


def colourful_images() -> np.ndarray:
    """Sixteen uint8 images: blobs of colour, plain colours, noise."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (16, 7, 7, 3), dtype=np.uint8)
    images = coarse.repeat(32, axis=1).repeat(32, axis=2)
    images[0], images[1], images[2] = 255, 0, (124, 117, 104)
    images[3] = rng.integers(0, 256, (224, 224, 3), dtype=np.uint8)
    return images


def small_base(side: int = 224) -> Any:
    """Build what ResNet50 has, in three convolutions of three of its stages.

    Normalised convolutions, padding, a residual connection, 2048 features, and a kernel that is
    large enough to be stored as FP16.
    """
    keras = keras_for("this test")
    layers = keras.layers

    def normalised(tensor: Any, name: str, **how: Any) -> Any:
        convolved = layers.Conv2D(name=f"{name}_conv", **how)(tensor)
        return layers.BatchNormalization(name=f"{name}_bn")(convolved)

    pixels = keras.Input((side, side, 3))
    first = normalised(pixels, "conv1", filters=64, kernel_size=7, strides=16, padding="same")
    first = layers.ReLU()(first)
    second = normalised(first, "conv4", filters=64, kernel_size=3, padding="same")
    second = layers.ReLU()(layers.Add()([first, second]))
    last = layers.ReLU()(normalised(second, "conv5", filters=2048, kernel_size=1))
    base = keras.Model(pixels, layers.GlobalAveragePooling2D()(last))
    base.trainable = False
    return base


def load_small_networks(patch: pytest.MonkeyPatch) -> list[tuple[int, str]]:
    """Let ``load_network`` build the small base; gives the side and ``stride_in`` of each."""
    found = []

    def build(weights: None, purpose: str, side: int, stride_in: str) -> Any:
        found.append((side, stride_in))
        return small_base(side)

    patch.setattr("hambatch.backends.keras_network.build_base", build)
    return found


def varied(base: Any, images: np.ndarray, hidden_units: int) -> Any:
    """Join a base and a head whose weights are drawn so that the images' answers differ."""
    head = build_head(hidden_units, 0.5, seed=0)
    rng = np.random.default_rng(1)
    for layer in base.layers:
        if layer.name.endswith("_bn"):
            channels = layer.gamma.shape[0]
            # Pixels are up to 150 from their mean; what follows expects values around 1.
            variance = 400.0 if layer.name == "conv1_bn" else 1.0
            layer.set_weights(
                [
                    rng.uniform(0.7, 1.3, channels),
                    rng.normal(0, 0.1, channels),
                    rng.normal(0, 0.1, channels),
                    variance * rng.uniform(0.5, 1.5, channels),
                ]
            )
    hidden, logits = head.get_layer("hidden"), head.get_layer("logits")
    logits.bias.assign(rng.normal(0, 0.1, logits.bias.shape))
    # Pooled features of untrained weights are nearly alike: spread them over the images.
    activations = np.asarray(base(preprocess(images), training=False)) @ hidden.kernel.numpy()
    scale = 1 / activations.std(axis=0)
    hidden.kernel.assign(hidden.kernel * scale)
    hidden.bias.assign(-activations.mean(axis=0) * scale)
    return join(base, head)


def bottleneck_base() -> Any:
    """Build a block of ResNet50 that halves the image, with Keras' names, and what is around it."""
    keras = keras_for("this test")
    layers = keras.layers

    def normalised(tensor: Any, name: str, filters: int, kernel_size: int, **how: Any) -> Any:
        name = f"conv3_block1_{name}"
        convolved = layers.Conv2D(filters, kernel_size, name=f"{name}_conv", **how)(tensor)
        return layers.BatchNormalization(epsilon=1.001e-5, name=f"{name}_bn")(convolved)

    pixels = keras.Input((224, 224, 3))
    first = layers.Conv2D(16, 7, strides=16, padding="same", name="conv1_conv")(pixels)
    first = layers.ReLU()(layers.BatchNormalization(name="conv1_bn")(first))
    inner = layers.ReLU()(normalised(first, "1", 8, 1, strides=2))
    inner = layers.ReLU()(normalised(inner, "2", 8, 3, padding="same"))
    added = [normalised(first, "0", 2048, 1, strides=2), normalised(inner, "3", 2048, 1)]
    last = layers.ReLU()(layers.Add()(added))
    base = keras.Model(pixels, layers.GlobalAveragePooling2D()(last))
    base.trainable = False
    return base
