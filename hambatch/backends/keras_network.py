"""The network in Keras: built, and its weights read and written."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta

from hambatch.backends.resnet import NPZ, STRIDES_IN, read_npz, stride_in_3x3
from hambatch.engines.classes import CLASSES
from hambatch.engines.manifest import FEATURES
from hambatch.errors import EngineError
from hambatch.system.files import outside_current_folder, replacing
from hambatch.system.packages import require

SIDE = 224
"""Of the images of the published recipe, in pixels; fine-tuning's unless another is chosen."""

SUFFIX = ".weights.h5"
WEIGHTS_NAME = f"model{SUFFIX}"

PURPOSE = "hambatch train"


IN_1X1 = STRIDES_IN[0]
"""Where the stride of Keras' own ResNet50 is, and of all engines that do not say where."""


@dataclass(frozen=True)
class Architecture:
    """What ``training`` of ``engine.json`` says of the network: its head, and its strides."""

    hidden_units: Annotated[int, Meta(ge=1, le=65_535)]
    dropout: Annotated[float, Meta(ge=0, lt=1)]
    stride_in: Literal["1x1", "3x3"] = "1x1"


def keras_for(purpose: str) -> Any:
    """Import Keras, or name the extra that brings it."""
    # TensorFlow reads it once, on import: errors are shown, its notes on devices are not.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # XLA looks for CUDA's tools in ./cuda_sdk_lib first, and runs the ptxas that it finds there.
    os.environ.setdefault("XLA_FLAGS", "--xla_gpu_cuda_data_dir=/nonexistent")
    # Keras imports matplotlib, which reads its settings in the current folder first.
    with outside_current_folder():
        keras = require("keras", extra="train", purpose=purpose)
    # Not what ~/.keras/keras.json says, which other programs share.
    keras.config.set_floatx("float32")
    keras.config.set_image_data_format("channels_last")
    keras.config.set_epsilon(1e-7)
    return keras


def build_base(
    weights: str | Path | None,
    purpose: str = PURPOSE,
    side: int = SIDE,
    stride_in: str = IN_1X1,
) -> Any:
    """ResNet50 without its top, average-pooled, frozen.

    Input float32 ``[batch, side, side, 3]`` as ``resnet.preprocess_input`` leaves
    it (BGR, channel means subtracted); output float32 ``[batch, 2048]``.

    Parameters
    ----------
    weights
        ``"imagenet"`` for Keras' own download, the path of a ``.weights.h5`` file of the same
        layout, that of a ``.npz`` file (:func:`hambatch.backends.resnet.read_npz`), or None for
        untrained weights.
    side
        Of the images, in pixels; the weights are the same for any.
    stride_in
        One of :data:`hambatch.backends.resnet.STRIDES_IN`. The weights have the same shapes for
        both; with those of the other one the network computes something else.
    """
    keras = keras_for(purpose)
    is_npz = weights is not None and Path(weights).suffix == NPZ
    early = None if weights is None or is_npz or stride_in != IN_1X1 else str(weights)
    base = keras.applications.ResNet50(
        include_top=False, pooling="avg", weights=early, input_shape=(side, side, 3)
    )
    if stride_in != IN_1X1:
        base = stride_in_3x3(keras, base)
    if is_npz:
        read_npz(Path(str(weights)), base)
    elif weights is not None and early is None:
        base.load_weights(str(weights))
    base.trainable = False
    return base


def build_head(hidden_units: int, dropout: float, seed: int, purpose: str = PURPOSE) -> Any:
    """Dense(ReLU), Dropout, Dense: float32 features ``[batch, 2048]`` to logits ``[batch, 7]``.

    Every random number of it comes from ``seed``.
    """
    keras = keras_for(purpose)
    layers, uniform = keras.layers, keras.initializers.GlorotUniform
    hidden = layers.Dense(
        hidden_units, activation="relu", kernel_initializer=uniform(seed=seed), name="hidden"
    )
    dropped = layers.Dropout(dropout, seed=seed + 1, name="dropout")
    logits = layers.Dense(len(CLASSES), kernel_initializer=uniform(seed=seed + 2), name="logits")
    return keras.Sequential([keras.Input((FEATURES,)), hidden, dropped, logits], name="head")


def join(base: Any, head: Any) -> Any:
    """The whole network: preprocessed images in, ``logits`` and ``features`` out."""
    keras = keras_for(PURPOSE)
    features = base.output
    return keras.Model(base.input, {"logits": head(features), "features": features})


def in_mixed_precision(base: Any) -> Any:
    """The same network with the same weights, computing in float16 where that is safe.

    Variables stay float32; the output is float16 [1]_.

    References
    ----------
    .. [1] https://www.tensorflow.org/guide/mixed_precision
    """
    keras = keras_for(PURPOSE)

    def clone(layer: Any) -> Any:
        return type(layer).from_config({**layer.get_config(), "dtype": "mixed_float16"})

    twin = keras.models.clone_model(base, clone_function=clone)
    twin.set_weights(base.get_weights())
    return twin


def preprocess(images: Any) -> Any:
    """Keras' ``resnet.preprocess_input`` of uint8 or float RGB ``[n, side, side, 3]``.

    Returns float32 BGR with the ImageNet channel means subtracted.
    """
    import numpy as np

    keras = keras_for(PURPOSE)
    return keras.applications.resnet.preprocess_input(np.array(images, np.float32))


def save_network(network: Any, path: Path) -> None:
    """Write the weights so that ``path`` (``*.weights.h5``) is never half-written."""
    with replacing(path) as temporary:
        # Keras refuses any other suffix, of the temporary file too.
        staged = temporary.with_name(temporary.name + SUFFIX)
        try:
            network.save_weights(staged)
            os.replace(staged, temporary)
        finally:
            staged.unlink(missing_ok=True)


def _refuse_other_files(weights: Path) -> None:
    """Raise ValueError if an HDF5 file takes values from another one, which no hash covers."""
    import h5py

    def link(name: str, found: Any) -> str | None:
        return None if isinstance(found, h5py.HardLink) else name

    def elsewhere(name: str, found: Any) -> str | None:
        is_elsewhere = isinstance(found, h5py.Dataset) and (found.external or found.is_virtual)
        return name if is_elsewhere else None

    with h5py.File(weights) as file:
        name = file.visititems_links(link) or file.visititems(elsewhere)
    if name:
        raise ValueError(f"{name!r} leads elsewhere, wanted values in the file itself")


def load_network(
    path: Path, hidden_units: int, dropout: float, side: int = SIDE, stride_in: str = IN_1X1
) -> Any:
    """Build the network and read its weights, of an engine's folder or a ``.weights.h5`` file.

    Raises EngineError if the file is missing, damaged, or of another network.

    Parameters
    ----------
    hidden_units, dropout, stride_in
        As in ``training`` of ``engine.json``: :class:`Architecture`.
    side
        Of the images, in pixels: ``height`` of ``input`` there.
    """
    weights = path / WEIGHTS_NAME if path.is_dir() else path
    remedy = "Next: hambatch train --data split.csv --out engines/NAME"
    if not weights.is_file():
        raise EngineError(
            f"{weights} is missing: training writes Keras weights, and none are shipped.\n{remedy}"
        )
    purpose = "reading an engine's Keras weights"
    base = build_base(None, purpose, side, stride_in)
    network = join(base, build_head(hidden_units, dropout, seed=0, purpose=purpose))
    try:
        _refuse_other_files(weights)
        network.load_weights(weights)
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise EngineError(
            f"{weights} does not hold the weights of ResNet50 with a head of {hidden_units} "
            f"hidden units: {reason}.\n{remedy}"
        ) from error
    return network
