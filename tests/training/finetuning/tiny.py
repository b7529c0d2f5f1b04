"""A base of a few weights with ResNet50's layer names, and images of seven colours."""

import colorsys
import io
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from hambatch.engines.classes import CLASSES
from hambatch.system.files import sha256_of_bytes
from hambatch.training.dataset import Dataset
from hambatch.training.finetuning.data import TuningData
from hambatch.training.finetuning.sampling import Pool
from hambatch.training.finetuning.tuner import FineTuner
from hambatch.training.options import FineTuneOptions, TrainOptions
from hambatch.training.views import Views

TUNE = FineTuneOptions(
    steps=12, val_every=4, val_patience=9, peak_learning_rate=3e-3, checkpoint_seconds=0.0
)
OPTIONS = TrainOptions(
    recipe="finetune", device="cpu", hidden_units=16, batch_size=8, finetune=TUNE
)


def tiny_base():
    """Three named stages of a convolution and a normalisation each; 7 x 7 to 2,048 features."""
    import keras

    layers = keras.layers
    out = inputs = keras.Input((224, 224, 3))
    out = layers.Rescaling(1 / 100)(layers.AveragePooling2D(32)(out))
    for stage, channels in (("conv3", 16), ("conv4", 32), ("conv5", 2048)):
        kernel = keras.initializers.GlorotUniform(seed=channels)
        name = f"{stage}_block1_1"
        out = layers.Conv2D(channels, 1, kernel_initializer=kernel, name=f"{name}_conv")(out)
        out = layers.BatchNormalization(name=f"{name}_bn")(out)
        out = layers.ReLU()(out)
    base = keras.Model(inputs, layers.GlobalAveragePooling2D()(out))
    base.trainable = False
    return base


def tuner_of(options: TrainOptions = OPTIONS) -> FineTuner:
    """The tiny base with a new head."""
    return FineTuner(tiny_base(), options)


def coloured(label: int, seed: int) -> bytes:
    """A noisy JPEG of a class's colour."""
    draw = np.random.default_rng([label, seed])
    colour = 255 * np.array(colorsys.hsv_to_rgb(label / 7, 0.7, 0.8))
    pixels = np.clip(colour + draw.normal(0, 20, (48, 64, 3)), 0, 255).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format="JPEG", quality=90)
    return stream.getvalue()


def tuning_data(folder: Path, options: TrainOptions = OPTIONS) -> TuningData:
    """Two to eight training images of each class, and two to validate with."""
    files: dict[str, Path] = {}
    parts: dict[str, list[tuple[str, int]]] = {"train": [], "val": []}
    for label in range(7):
        for k in range(4 + label):
            content = coloured(label, k)
            image = sha256_of_bytes(content)
            files[image] = folder / f"{label}_{k}.jpg"
            files[image].write_bytes(content)
            parts["val" if k < 2 else "train"].append((image, label))
    (train, labels), (val, val_labels) = (zip(*part, strict=True) for part in parts.values())
    views = Views(files, options, options.finetune.side, options.batch_size)
    return TuningData(views, train, Pool.of(np.array(labels)), val, np.array(val_labels))


def tiny_dataset(root: Path) -> Dataset:
    """Four lesions of each class, with two photographs each; class after class in turn."""
    rows = []
    for k in range(8):
        for label, dx in enumerate(CLASSES):
            content, name, lesion = coloured(label, k), f"i{label}{k}", f"L{label}{k // 2}"
            (root / f"{name}.jpg").write_bytes(content)
            row = {"image_id": name, "lesion_id": lesion, "group": lesion, "dx": dx}
            sha256 = sha256_of_bytes(content)
            rows.append(row | {"file": f"{name}.jpg", "sha256": sha256, "split": "train"})
    return Dataset(pd.DataFrame(rows), root, "0" * 64)
