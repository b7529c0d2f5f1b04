"""Which weights are trained, and how fast each of them learns."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from hambatch.training.network import keras_for

STAGES = ("conv5", "conv4", "conv3")
"""Stages of ResNet50 that may be trained, from the top."""


class TrainedWeight(NamedTuple):
    """A weight, the factor of its learning rate, and whether it decays."""

    path: str
    variable: Any
    rate: float
    decays: bool


def trained_weights(
    base: Any, head: Any, unfreeze: str, base_rate: float, stage_decay: float
) -> list[TrainedWeight]:
    """Choose the head and the convolutions of the stages from ``unfreeze`` up.

    Batch normalisation stays as it is, gamma and beta with its statistics: at 32 images a
    step statistics are noise, and behind a trained convolution neither adds anything, as
    its kernel scales each channel and its bias shifts it.

    Parameters
    ----------
    base
        ResNet50 with Keras' layer names, ``conv4_block1_1_conv`` and so on.
    base_rate
        The learning rate of conv5 as a share of the head's.
    stage_decay
        That of each stage below as a share of that of the stage above it.
    """
    chosen = [_trained(variable, 1.0) for variable in head.trainable_variables]
    for depth, stage in enumerate(STAGES[: STAGES.index(unfreeze) + 1]):
        rate = base_rate * stage_decay**depth
        chosen += [_trained(variable, rate) for variable in _of_stage(base, stage)]
    return chosen


def _of_stage(base: Any, stage: str) -> Iterator[Any]:
    normalisation = keras_for("hambatch train").layers.BatchNormalization
    for layer in base.layers:
        if layer.name.startswith(f"{stage}_") and not isinstance(layer, normalisation):
            yield from layer.weights


def _trained(variable: Any, rate: float) -> TrainedWeight:
    # TensorFlow's own variable: it can be watched though the base is frozen for Keras.
    return TrainedWeight(variable.path, variable.value, rate, decays=len(variable.shape) > 1)
