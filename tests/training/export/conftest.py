"""One small-headed network, built and converted once, for every test of the export."""

import numpy as np
import pytest

from hambatch.backends.keras_network import build_base, build_head, join, keras_for, preprocess
from hambatch.training.export.keras_to_onnx import to_onnx

HIDDEN_UNITS = 16


@pytest.fixture(scope="session")
def images():
    """Sixteen uint8 images: blobs of colour, plain colours, noise."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (16, 7, 7, 3), dtype=np.uint8)
    pictures = coarse.repeat(32, axis=1).repeat(32, axis=2)
    pictures[0], pictures[1], pictures[2] = 255, 0, (124, 117, 104)
    pictures[3] = rng.integers(0, 256, (224, 224, 3), dtype=np.uint8)
    return pictures


@pytest.fixture(scope="session")
def network(images):
    """Make a network whose normalisation and biases do something, and whose answers vary."""
    # Else drawn anew each time, and of some draws two answers of an image are so near each other
    # that FP16 weights turn them round.
    keras_for("this test").utils.set_random_seed(0)
    base, head = build_base(None), build_head(HIDDEN_UNITS, 0.5, seed=0)
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


@pytest.fixture(scope="session")
def converted(network):
    """Convert once, with FP32 weights; a test that changes it takes the ``model`` copy."""
    return to_onnx(network)


@pytest.fixture
def model(converted):
    """Copy the converted model, to change it."""
    copy = type(converted)()
    copy.CopyFrom(converted)
    return copy
