"""ResNet50 with its stride in the 3x3 convolutions, and weights of it as arrays in a .npz file."""

import math
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import numpy as np
from numpy.typing import NDArray

from hambatch.system.text import first_names

STRIDES_IN = ("1x1", "3x3")
"""The convolution of a stage's first block that halves the image: Keras' own, and "V1.5"."""

HALVING = ("conv3_block1", "conv4_block1", "conv5_block1")
"""First blocks of the stages that halve the image."""

NPZ = ".npz"

HEADER_BYTES = 4096
"""More than the header of an array in such a file."""

SHOWN = 3


def stride_in_3x3(keras: Any, base: Any) -> Any:
    """Build ResNet50 anew so that the 3x3 convolution of a stage's first block halves the image.

    This is "V1.5" [1]_. Weights have the shapes, the names and the order of Keras' own ResNet50;
    they are drawn anew. The input of these convolutions is padded by one pixel on all sides.
    Keras' own padding of a stride of 2 adds a row and a column behind alone.

    References
    ----------
    .. [1] https://catalog.ngc.nvidia.com/orgs/nvidia/resources/resnet_50_v1_5_for_pytorch
    """
    changes: dict[str, dict[str, Any]] = {}
    for block in HALVING:
        changes[f"{block}_1_conv"] = {"strides": 1}
        changes[f"{block}_2_conv"] = {"strides": 2, "padding": "valid"}

    def clone(layer: Any) -> Any:
        return type(layer).from_config({**layer.get_config(), **changes.get(layer.name, {})})

    def call(layer: Any, *inputs: Any, **how: Any) -> Any:
        if changes.get(layer.name, {}).get("strides") == 2:
            name = layer.name.replace("_conv", "_pad")
            inputs = (keras.layers.ZeroPadding2D(1, name=name)(inputs[0]), *inputs[1:])
        return layer(*inputs, **how)

    return keras.models.clone_model(base, clone_function=clone, call_function=call)


def read_npz(path: Path, base: Any) -> None:
    """Give a network the weights of a file: arrays ``<layer>/<place in layer.get_weights()>``.

    They may be of any floating-point type. Raises ValueError, naming the first, if an array is
    missing, or is of no weight of the network, has another shape, or holds a value that is not
    finite; and if the file is no such file. Nothing in it is executed.
    """
    wanted = {
        f"{layer.name}/{k}": weight.shape
        for layer in base.layers
        for k, weight in enumerate(layer.weights)
    }
    try:
        _refuse_larger(path, wanted)
        with np.load(path, allow_pickle=False) as stored:
            found = {name: _checked(name, stored[name], wanted[name]) for name in wanted}
    except BadZipFile as error:
        raise ValueError(f"it is no .npz file: {error}") from error
    for layer in base.layers:
        if layer.weights:
            layer.set_weights([found[f"{layer.name}/{k}"] for k in range(len(layer.weights))])


def _refuse_larger(path: Path, wanted: dict[str, tuple[int, ...]]) -> None:
    """Compare names, and sizes in the archive's index, before an array is unpacked."""
    with ZipFile(path) as archive:
        sizes = {member.filename: member.file_size for member in archive.infolist()}
    names = {f"{name}.npy" for name in wanted}
    for problem, some in (("lacks", names - sizes.keys()), ("also has", sizes.keys() - names)):
        if some:
            shown = first_names(sorted(name.removesuffix(".npy") for name in some), SHOWN, ", ")
            raise ValueError(f"it {problem} {len(some)} arrays of the network: {shown}")
    for name, shape in wanted.items():
        if sizes[f"{name}.npy"] > 8 * math.prod(shape) + HEADER_BYTES:
            raise ValueError(f"{name} is larger than a weight of shape {tuple(shape)}")


def _checked(name: str, array: NDArray[Any], shape: tuple[int, ...]) -> NDArray[np.float32]:
    if array.shape != tuple(shape):
        raise ValueError(f"{name} has shape {array.shape}, the network {tuple(shape)}")
    if array.dtype.kind != "f":
        raise ValueError(f"{name} is of type {array.dtype}, wanted a floating-point one")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} has values that are not finite")
    return array.astype(np.float32)
