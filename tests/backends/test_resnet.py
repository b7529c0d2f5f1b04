"""Strides in the 3x3 convolutions, against NumPy; and weights from a file of arrays."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hambatch.backends.keras_network import build_base, keras_for, preprocess
from hambatch.backends.openvino_graph import openvino_probabilities
from hambatch.backends.resnet import read_npz, stride_in_3x3
from hambatch.engines.probabilities import compare
from hambatch.training.export.export import keras_probabilities
from hambatch.training.export.keras_to_onnx import to_onnx
from tests.training.export.keras_networks import bottleneck_base, colourful_images, varied

EPSILON = 1.001e-5
"""Of the normalisations of Keras' ResNet50."""

Arrays = dict[str, np.ndarray]


def arrays_of(base: Any) -> Arrays:
    return {
        f"{layer.name}/{k}": value
        for layer in base.layers
        for k, value in enumerate(layer.get_weights())
    }


def convolved(pixels: np.ndarray, arrays: Arrays, name: str, stride: int, pad: int) -> np.ndarray:
    """Convolve ``[height, width, channels]``, as its definition says, and normalise."""
    kernel, bias = (arrays[f"{name}_conv/{k}"] for k in range(2))
    padded = np.pad(pixels, ((pad, pad), (pad, pad), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, kernel.shape[:2], axis=(0, 1))
    windows = windows[::stride, ::stride].transpose(0, 1, 3, 4, 2)
    flat = windows.reshape(*windows.shape[:2], -1)
    gamma, beta, mean, variance = (arrays[f"{name}_bn/{k}"].astype(float) for k in range(4))
    sums = flat @ kernel.reshape(-1, kernel.shape[-1]) + bias
    return (sums - mean) / np.sqrt(variance + EPSILON) * gamma + beta


def block(pixels: np.ndarray, arrays: Arrays, name: str, stride: int) -> np.ndarray:
    """A bottleneck block with its stride in the 3x3 convolution, padded by 1 on all sides."""
    inner = np.maximum(convolved(pixels, arrays, f"{name}_1", 1, 0), 0)
    inner = np.maximum(convolved(inner, arrays, f"{name}_2", stride, 1), 0)
    has_own = f"{name}_0_conv/0" in arrays
    shortcut = convolved(pixels, arrays, f"{name}_0", stride, 0) if has_own else pixels
    return np.maximum(convolved(inner, arrays, f"{name}_3", 1, 0) + shortcut, 0)


def features(image: np.ndarray, arrays: Arrays) -> np.ndarray:
    """Pooled features ``[2048]`` of a preprocessed image, by ResNet50 V1.5 in float64."""
    pixels = np.maximum(convolved(image.astype(float), arrays, "conv1", 2, 3), 0)
    padded = np.pad(pixels, ((1, 1), (1, 1), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(0, 1))
    pixels = windows[::2, ::2].max(axis=(-2, -1))
    for stage, blocks in zip((2, 3, 4, 5), (3, 4, 6, 3), strict=True):
        for number in range(1, blocks + 1):
            stride = 2 if stage > 2 and number == 1 else 1
            pixels = block(pixels, arrays, f"conv{stage}_block{number}", stride)
    return pixels.mean(axis=(0, 1))


@pytest.fixture(scope="module")
def small() -> Any:
    """A block of the network, whose weights do something."""
    keras = keras_for("this test")
    keras.utils.set_random_seed(3)
    base = stride_in_3x3(keras, bottleneck_base())
    base.trainable = False
    return base


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return colourful_images()


@pytest.fixture(scope="module")
def network(small: Any, images: np.ndarray) -> Any:
    return varied(small, images, hidden_units=16)


@pytest.mark.usefixtures("network")
def test_a_block_computes_what_its_definition_says(small: Any) -> None:
    keras = keras_for("this test")
    outputs = [small.get_layer("conv1_bn").output, small.output]
    image = np.random.default_rng(1).normal(0, 60, (1, 224, 224, 3)).astype(np.float32)
    before, found = (
        np.asarray(part)[0] for part in keras.Model(small.input, outputs)(image, training=False)
    )
    wanted = block(np.maximum(before, 0), arrays_of(small), "conv3_block1", 2).mean(axis=(0, 1))
    assert small.get_layer("conv3_block1_2_conv").input.shape == (None, 16, 16, 8), "padded"
    np.testing.assert_allclose(found, wanted, atol=1e-4 * wanted.max())


def test_its_graph_has_the_padding_in_the_convolution_and_computes_the_same(
    network: Any, images: np.ndarray
) -> None:
    model = to_onnx(network)
    kinds = [node.op_type for node in model.graph.node]
    (halving,) = (
        how
        for node in model.graph.node
        if (how := {part.name: list(part.ints) for part in node.attribute}).get("kernel_shape")
        == [3, 3]
    )
    assert halving["strides"] == [2, 2]
    assert halving["pads"] == [1, 1, 1, 1]
    assert "Pad" not in kinds
    expected = keras_probabilities(network, images)
    found = openvino_probabilities(model.SerializeToString(), images)
    assert np.ptp(expected, axis=0).max() > 0.05, "images that all score alike prove nothing"
    assert compare(expected, found)["max_difference"] < 1e-5


@pytest.fixture
def stored(small: Any) -> Arrays:
    return {name: value.astype(np.float16) for name, value in arrays_of(small).items()}


def test_arrays_of_a_file_become_the_weights(small: Any, stored: Arrays, tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "base.npz", **stored)
    other = stride_in_3x3(keras_for("this test"), bottleneck_base())
    read_npz(tmp_path / "base.npz", other)
    for name, value in arrays_of(other).items():
        np.testing.assert_array_equal(value, stored[name].astype(np.float32), name)


KERNEL = "conv3_block1_2_conv/0"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({KERNEL: None}, f"lacks 1 arrays of the network: '?{KERNEL}"),
        ({"conv9_conv/0": np.zeros(3)}, "also has 1 arrays of the network: '?conv9_conv/0"),
        ({KERNEL: np.zeros((3, 3, 8, 4))}, r"shape \(3, 3, 8, 4\), the network \(3, 3, 8, 8\)"),
        ({KERNEL: np.full((3, 3, 8, 8), np.nan)}, f"{KERNEL} has values that are not finite"),
        ({KERNEL: np.zeros((3, 3, 8, 8), int)}, f"{KERNEL} is of type int64"),
        ({KERNEL: np.zeros((300, 300, 8, 8))}, f"{KERNEL} is larger than a weight of shape"),
        ({KERNEL: np.array([{}] * 576).reshape(3, 3, 8, 8)}, "allow_pickle"),
    ],
)
def test_a_file_of_other_arrays_is_refused(
    small: Any, stored: Arrays, tmp_path: Path, change: dict[str, Any], says: str
) -> None:
    changed = {name: value for name, value in (stored | change).items() if value is not None}
    np.savez(tmp_path / "base.npz", **changed)
    with pytest.raises(ValueError, match=says):
        read_npz(tmp_path / "base.npz", small)


def test_a_file_that_is_no_archive_is_refused(small: Any, tmp_path: Path) -> None:
    (tmp_path / "base.npz").write_bytes(b"no weights")
    with pytest.raises(ValueError, match=r"it is no \.npz file"):
        read_npz(tmp_path / "base.npz", small)


WEIGHTS = Path(__file__).parents[3] / "shared" / "weights" / "resnet50_pqf_v15_fp16.npz"
SIDE = 64
"""Of an image: as small as all strides show."""


@pytest.mark.data
@pytest.mark.slow
def test_the_whole_network_computes_what_its_definition_says() -> None:
    if not WEIGHTS.is_file():
        pytest.skip(f"no weights at {WEIGHTS}")
    base = build_base(WEIGHTS, side=SIDE, stride_in="3x3")
    image = np.random.default_rng(0).integers(0, 256, (1, 8, 8, 3), np.uint8)
    pixels = preprocess(image.repeat(8, axis=1).repeat(8, axis=2))
    found = np.asarray(base(pixels, training=False))[0]
    wanted = features(pixels[0], arrays_of(base))
    np.testing.assert_allclose(found, wanted, atol=1e-4 * wanted.max())
