"""What a recipe is: from rows of a split table to a trained network, resumable at any time."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hambatch.backends.keras_network import IN_1X1, SIDE, build_base
from hambatch.backends.resnet import NPZ, STRIDES_IN
from hambatch.errors import InputError
from hambatch.system.files import sha256_of_bytes
from hambatch.system.packages import library_versions
from hambatch.training.dataset import Dataset
from hambatch.training.options import TrainOptions

PIPELINE_VERSION = 3
"""Raise it when the same options give other pixels or other features."""

DOWNLOAD, IN_3X3 = "imagenet", STRIDES_IN[1]

COMPUTING = ("numpy", "nvidia-dali-cuda120", "keras", "tensorflow", "tensorflow-cpu")
"""Libraries whose next version may compute other weights."""


@dataclass(frozen=True)
class Fitted:
    """A trained network, with the weights of its best validation.

    Attributes
    ----------
    network
        Of :func:`hambatch.backends.keras_network.join`.
    images, logits
        Of plain images by sha256: uint8 RGB ``[n, side, side, 3]``, and float32 ``[n, 7]``.
    weights_sha256
        Of the base that the training started from.
    outcome
        How long it trained and which validation was the best, for the record.
    validations
        Step and balanced accuracy of each, where folds are compared by them.
    """

    network: Any
    images: Callable[[Sequence[str]], NDArray[np.uint8]]
    logits: Callable[[Sequence[str]], NDArray[np.float32]]
    weights_sha256: str
    outcome: Mapping[str, Any]
    validations: Sequence[Mapping[str, Any]] = ()


class Recipe(Protocol):
    """A way to train, for one dataset and one set of options."""

    def fit(self, train: pd.DataFrame, val: pd.DataFrame, work: Path, **bound: Any) -> Fitted:
        """Train on rows of the split table, or resume from the checkpoint in ``work``.

        A resumed training gives the weights, bit for bit, of one that was never interrupted on
        the same machine. The checkpoint is bound to images, base, options, libraries and
        ``bound``. Raises InputError if it is of another run, or weights or images cannot be read.
        """
        ...


def load_base(weights: str, side: int = SIDE, stride_in: str = IN_1X1) -> Any:
    """Build the frozen base for images of ``side`` pixels; InputError if it has no weights.

    Also if ``weights`` are known to be of the other ``stride_in``.
    """
    if weights != DOWNLOAD and not Path(weights).is_file():
        raise _unusable(weights, "no such file")
    _refuse_other_strides(weights, stride_in)
    try:
        return build_base(weights, side=side, stride_in=stride_in)
    except Exception as error:
        # Keras raises a bare Exception for a failed download; subclasses that
        # are not listed are bugs, or messages of our own.
        if type(error) is not Exception and not isinstance(error, (OSError, ValueError, KeyError)):
            raise
        raise _unusable(weights, str(error).strip().partition("\n")[0]) from error


def _refuse_other_strides(weights: str, stride_in: str) -> None:
    """Refuse what would load, as the shapes are the same, and compute something else.

    A .weights.h5 file may be of either.
    """
    is_npz = Path(weights).suffix == NPZ
    if (weights == DOWNLOAD and stride_in != IN_1X1) or (is_npz and stride_in == IN_1X1):
        own = IN_3X3 if is_npz else IN_1X1
        raise InputError(
            f"the weights {weights!r} are of a network with its stride in the {own} convolution; "
            f"found --stride-in {stride_in}.\nNext: add --stride-in {own}, or name other --weights"
        )


def _unusable(weights: str, reason: str) -> InputError:
    return InputError(
        f"the weights {weights!r} cannot be used: {reason}; wanted 'imagenet' (a download of "
        "Keras), or a .weights.h5 or .npz file of ResNet50 without its top.\n"
        "Next: name such a file with --weights"
    )


LICENCE_BYTES = 1_000_000


def licence_text(options: TrainOptions) -> str:
    """Read the licence of the base's weights, empty if none is named; InputError if it cannot be.

    So that a training does not fail at its end, it is read before it begins as well.
    """
    if not options.weights_licence_file:
        return ""
    path = Path(options.weights_licence_file)
    try:
        with path.open("rb") as stream:
            text = stream.read(LICENCE_BYTES + 1)
        if len(text) > LICENCE_BYTES:
            raise ValueError(f"more than {LICENCE_BYTES:,} bytes")
        return text.decode()
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise InputError(
            f"--weights-licence-file {path} cannot be used: {why}; wanted a text in UTF-8.\n"
            "Next: name the licence's text, or give a line with --weights-licence alone"
        ) from error


def sha256_of_weights(base: Any) -> str:
    """Hash the weights themselves: the same whatever file they came from."""
    digest = hashlib.sha256()
    for weight in base.weights:
        value = np.ascontiguousarray(weight.numpy())
        digest.update(f"{weight.name} {value.dtype} {value.shape}\n".encode())
        digest.update(value.tobytes())
    return digest.hexdigest()


def fingerprint(
    dataset: Dataset,
    train: pd.DataFrame,
    val: pd.DataFrame,
    weights_sha256: str,
    options: TrainOptions,
) -> dict[str, Any]:
    """What decides a training's weights: images, base, options and libraries, by content."""
    numbers = options.of_recipe()
    del numbers["weights"], numbers["weights_licence"], numbers["weights_licence_file"]
    if options.stride_in == IN_1X1:
        # As in checkpoints from before there was a choice.
        del numbers["stride_in"]
    finetune = numbers.pop("finetune", {})
    unused = {"checkpoint_seconds"}
    if options.final:
        unused |= {"val_every", "val_patience"}
    versions = library_versions()
    images = [*train["sha256"], "", *val["sha256"]]
    extras = {}
    for source in dataset.extras:
        images += ["", *source.images["sha256"]]
        extras[f"table_sha256 of {source.about.name}"] = source.table_sha256
    return {
        **extras,
        "split_sha256": dataset.split_sha256,
        "images_sha256": sha256_of_bytes("\n".join(images).encode()),
        "weights_sha256": weights_sha256,
        "pipeline_version": PIPELINE_VERSION,
        **{name: versions[name] for name in COMPUTING if name in versions},
        **numbers.pop("augmentation"),
        **finetune.pop("jitter", {}),
        **{name: value for name, value in finetune.items() if name not in unused},
        **numbers,
    }
