"""What two usual Keras loops make of a folder with damaged files in it.

Not a question of its own: `faults.py` asks it of the folders that hambatch scored.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

SIDE = 224
BATCH = 32


@dataclass(frozen=True)
class LoopResult:
    """What came of one loop over ``files`` files.

    Attributes
    ----------
    predictions
        That the loop returned.
    stopped_by
        First line of the error that ended it; empty if none did.
    images_before_the_stop
        Decoded in whole batches before that error; their predictions are lost as well.
    rows_of_another_file
        Predictions that `zip(sorted(files), predictions)` gives to a file they are not of.
    of_those_another_class
        Where the file's own prediction would have been another class, or none.
    """

    files: int
    predictions: int
    stopped_by: str = ""
    images_before_the_stop: int = 0
    rows_of_another_file: int = 0
    of_those_another_class: int = 0


def directory_loop(folder: Path) -> LoopResult:
    """`image_dataset_from_directory(folder, labels=None)` and `model.predict`."""
    import keras
    import tensorflow as tf

    images = keras.utils.image_dataset_from_directory(
        folder, labels=None, image_size=(SIDE, SIDE), shuffle=False, batch_size=BATCH, verbose=False
    )
    files = len(images.file_paths)
    try:
        return LoopResult(files, len(_model().predict(images, verbose=0)))
    except tf.errors.OpError as error:
        return LoopResult(files, 0, _first_line(error), _images_before_the_stop(images))


def ignoring_loop(folder: Path) -> LoopResult:
    """`tf.io.decode_jpeg` with `ignore_errors()`, zipped with the sorted files as users do."""
    import tensorflow as tf

    names = sorted(str(path) for path in folder.iterdir())

    def load(index: Any, name: Any) -> Any:
        image = tf.io.decode_jpeg(tf.io.read_file(name), channels=3)
        return index, tf.image.resize(image, (SIDE, SIDE))

    decoded = tf.data.Dataset.from_tensor_slices((np.arange(len(names)), names)).map(
        load, num_parallel_calls=tf.data.AUTOTUNE
    )
    batches = decoded.ignore_errors().batch(BATCH)
    model, owners, predictions = _model(), [], []
    for indices, images in batches:
        owners += indices.numpy().tolist()
        predictions += model.predict_on_batch(images).argmax(1).tolist()
    own = dict(zip(owners, predictions, strict=True))
    given = list(enumerate(predictions))
    moved = [(place, p) for place, p in given if owners[place] != place]
    return LoopResult(
        files=len(names),
        predictions=len(predictions),
        rows_of_another_file=len(moved),
        of_those_another_class=sum(own.get(place) != p for place, p in moved),
    )


def _model() -> Any:
    """A small network: what it predicts does not matter here, but pictures must differ in it."""
    import keras

    keras.utils.set_random_seed(0)
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((SIDE, SIDE, 3)),
            layers.Rescaling(1 / 32, -4),
            layers.AveragePooling2D(16),
            layers.Flatten(),
            layers.Dense(7, activation="softmax", kernel_initializer="random_normal"),
        ]
    )


def _images_before_the_stop(batches: Any) -> int:
    import tensorflow as tf

    seen = 0
    try:
        for batch in batches:
            seen += len(batch)
    except tf.errors.OpError:
        pass
    return seen


def _first_line(error: Exception) -> str:
    # TensorFlow puts the operation's name in double braces before what happened.
    said = str(error).splitlines() or [type(error).__name__]
    return said[0].rpartition("}} ")[2][:200]
