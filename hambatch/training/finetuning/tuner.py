"""Base and head in training: one compiled step, and its whole state in arrays."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hambatch.backends.keras_network import build_head, keras_for, of_any_size, preprocess
from hambatch.engines.classes import CLASSES
from hambatch.system.packages import require
from hambatch.training.compute import in_bfloat16
from hambatch.training.options import TrainOptions
from hambatch.training.state_file import Arrays

# What a generator draws, so that no other draws the same numbers.
_MIXTURE = 3


class Mixture(NamedTuple):
    """What a step learns from.

    Attributes
    ----------
    images
        float32 ``[n, height, width, 3]``.
    targets
        float32 ``[n, 7]``: shares of the classes, each row sums to 1.
    """

    images: NDArray[np.float32]
    targets: NDArray[np.float32]


def mixed(
    images: NDArray[np.float32], labels: NDArray[np.int64], mixup: float, seed: int, number: int
) -> Mixture:
    """Blend every image of a batch with another, by shares of Beta(mixup, mixup) [1]_.

    Each keeps the larger share, so that a batch has as much of every class as was drawn for it.

    Parameters
    ----------
    mixup
        The distribution's parameter, 0 and more; with 0 nothing is blended, and labels are hard.
    number
        Of the step; what is drawn depends on it and the seed alone.

    References
    ----------
    .. [1] Zhang et al., mixup: Beyond Empirical Risk Minimization, ICLR 2018, arXiv:1710.09412
    """
    targets = np.eye(len(CLASSES), dtype=np.float32)[labels]
    if not mixup:
        return Mixture(images, targets)
    draw = np.random.default_rng([_MIXTURE, seed, number])
    drawn = draw.beta(mixup, mixup, len(images))
    share: NDArray[np.float32] = np.maximum(drawn, 1 - drawn).astype(np.float32)
    other = draw.permutation(len(images))
    weight = share[:, None, None, None]
    return Mixture(
        images * weight + images[other] * (1 - weight),
        targets * share[:, None] + targets[other] * (1 - share[:, None]),
    )


def one_cycle(step: int, steps: int, warmup: float) -> float:
    """Give the share of the peak learning rate at a step, above 0 and at most 1.

    Parameters
    ----------
    step
        From 1 to ``steps``.
    warmup
        Share of the steps in which it rises, 0 <= w < 1; the first step is never the last.

    References
    ----------
    .. [1] Smith, Topin: Super-Convergence (2017), arXiv:1708.07120
    .. [2] Loshchilov, Hutter: SGDR, ICLR 2017, arXiv:1608.03983 (the cosine)
    """
    rising = max(1, round(steps * warmup))
    if step <= rising:
        return step / rising
    return 0.5 * (1 + math.cos(math.pi * (step - rising) / (steps - rising + 1)))


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


MEAN, SQUARE, EPSILON = 0.9, 0.999, 1e-7
"""Decay of both moments and the divisor's floor: those of Kingma and Ba, and of Keras."""


class AdamW:
    """Moments of every weight; :meth:`apply` is called inside a compiled step.

    References
    ----------
    .. [1] Loshchilov, Hutter: Decoupled Weight Decay Regularization, ICLR 2019,
       arXiv:1711.05101
    """

    def __init__(self, weights: Sequence[TrainedWeight], weight_decay: float) -> None:
        tf = require("tensorflow", extra="train", purpose="hambatch train")
        self._tf, self._weights, self._weight_decay = tf, weights, weight_decay
        self.means = [_zeros(tf, weight.variable) for weight in weights]
        self.squares = [_zeros(tf, weight.variable) for weight in weights]

    @staticmethod
    def corrections(step: int) -> tuple[float, float]:
        """Say how far both moments have filled after ``step`` steps, the first being 1."""
        return 1 - MEAN**step, 1 - SQUARE**step

    def apply(self, gradients: Sequence[Any], rate: Any, filled_mean: Any, filled: Any) -> None:
        """Take one step; ``rate`` is the head's, the rest :meth:`corrections` as scalars."""
        for weight, gradient, mean, square in zip(
            self._weights, gradients, self.means, self.squares, strict=True
        ):
            mean.assign(MEAN * mean + (1 - MEAN) * gradient)
            square.assign(SQUARE * square + (1 - SQUARE) * gradient**2)
            change = (mean / filled_mean) / (self._tf.sqrt(square / filled) + EPSILON)
            if weight.decays:
                change += self._weight_decay * weight.variable
            weight.variable.assign_sub(rate * weight.rate * change)


def _zeros(tf: Any, variable: Any) -> Any:
    return tf.Variable(tf.zeros(variable.shape, variable.dtype), trainable=False)


class Average:
    """Exponential moving average of weights, the same kind as Polyak's [1]_.

    References
    ----------
    .. [1] Polyak, Juditsky: Acceleration of Stochastic Approximation by Averaging,
       SIAM J. Control Optim. 30 (1992), doi:10.1137/0330046
    """

    def __init__(self, weights: Sequence[TrainedWeight], decay: float) -> None:
        tf = require("tensorflow", extra="train", purpose="hambatch train")
        self._weights, self._decay = weights, decay
        self.values = [tf.Variable(weight.variable, trainable=False) for weight in weights]

    def decay_at(self, step: int) -> float:
        """Say how much of the old average is kept: less at first, when it knows little."""
        return min(self._decay, (1 + step) / (10 + step))

    def update(self, decay: Any) -> None:
        """Take in the weights as they are; called inside a compiled step."""
        for weight, average in zip(self._weights, self.values, strict=True):
            average.assign(decay * average + (1 - decay) * weight.variable)


WEIGHTS, AVERAGES = "weights", "averages"


class FineTuner:
    """A base with a new head; what lies below the unfrozen stages stays as it is.

    Parameters
    ----------
    base
        ResNet50 as :func:`hambatch.backends.keras_network.build_base` makes it. Its weights are
        changed in place.
    added
        float32 ``[7]``: to the logits that the loss sees
        (:mod:`hambatch.training.finetuning.sampling`).
    """

    def __init__(self, base: Any, options: TrainOptions, added: NDArray[np.float32]) -> None:
        tune = options.finetune
        self._options, self.base, self._added = options, base, added
        self._resizable = of_any_size(base)
        self.head = build_head(options.hidden_units, options.dropout, options.seed)
        self.trained = trained_weights(
            base, self.head, tune.unfreeze, tune.base_rate, tune.stage_decay
        )
        self._adamw = AdamW(self.trained, tune.weight_decay)
        self._average = Average(self.trained, tune.averaging)
        self._variables = {
            WEIGHTS: [weight.variable for weight in self.trained],
            AVERAGES: self._average.values,
            "means": self._adamw.means,
            "squares": self._adamw.squares,
        }
        self._steps: dict[int, Any] = {}
        self._forward = self._compiled_forward()

    def learning_rate(self, step: int) -> float:
        """Give the head's; that of each stage is a share of it."""
        tune = self._options.finetune
        return tune.peak_learning_rate * one_cycle(step, tune.steps, tune.warmup)

    def step(self, number: int, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> float:
        """Take step ``number``, from 1, on a whole batch; returns its loss.

        All that is random in it is drawn from the seed and its number.
        """
        if self._options.dropout:
            state = np.random.SeedSequence([self._options.seed, number]).generate_state(2)
            self.head.get_layer("dropout").seed_generator.state.assign(state)
        numbers = (
            self.learning_rate(number),
            *self._adamw.corrections(number),
            self._average.decay_at(number),
        )
        scalars = (np.float32(value) for value in numbers)
        mixup, seed = self._options.finetune.mixup, self._options.seed
        mixture = mixed(preprocess(images), labels, mixup, seed, number)
        side = images.shape[1]
        if side not in self._steps:
            self._steps[side] = self._compiled_step(side)
        with in_bfloat16(self._options.mixed_precision):
            return float(self._steps[side](*mixture, *scalars))

    def logits(self, batches: Iterable[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Score plain images by the weights as they are, dropout off: ``[n, 7]``."""
        size = self._options.batch_size
        found: list[NDArray[np.float32]] = []
        for images in batches:
            padded = np.zeros((size, *images.shape[1:]), np.uint8)
            padded[: len(images)] = images
            found.append(self._forward(preprocess(padded)).numpy()[: len(images)])
        return np.concatenate(found)

    @contextmanager
    def averaged(self) -> Iterator[dict[str, NDArray[Any]]]:
        """Work with the averages, which it yields; the weights come back bit for bit."""
        kept, averages = self._values(WEIGHTS), self._values(AVERAGES)
        self.put(averages)
        try:
            yield averages
        finally:
            self.put(kept)

    def put(self, weights: Arrays) -> None:
        """Replace the trained weights."""
        self._assign(WEIGHTS, weights)

    def state(self) -> dict[str, Arrays]:
        """Copy weights, averages and moments, by weight."""
        return {group: self._values(group) for group in self._variables}

    def restore(self, state: Mapping[str, Arrays]) -> None:
        """Put back what :meth:`state` returned."""
        for group in self._variables:
            self._assign(group, state[group])

    def _values(self, group: str) -> dict[str, NDArray[Any]]:
        pairs = zip(self.trained, self._variables[group], strict=True)
        return {weight.path: variable.numpy() for weight, variable in pairs}

    def _assign(self, group: str, values: Arrays) -> None:
        for weight, variable in zip(self.trained, self._variables[group], strict=True):
            variable.assign(values[weight.path])

    def _compiled_step(self, side: int) -> Any:
        tf = require("tensorflow", extra="train", purpose="hambatch train")
        tune, size = self._options.finetune, self._options.batch_size
        loss_of = keras_for("hambatch train").losses.CategoricalCrossentropy(
            from_logits=True, label_smoothing=tune.label_smoothing
        )
        variables = self._variables[WEIGHTS]
        scalar = tf.TensorSpec((), tf.float32)
        signature = [
            tf.TensorSpec((size, side, side, 3), tf.float32),
            tf.TensorSpec((size, len(CLASSES)), tf.float32),
            *[scalar] * 4,
        ]

        @tf.function(  # type: ignore[untyped-decorator, unused-ignore]
            input_signature=signature, jit_compile=self._options.xla or None
        )
        def step(images: Any, targets: Any, rate: Any, mean: Any, square: Any, decay: Any) -> Any:
            # What lies below the watched weights is not recorded, so its activations are freed.
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(variables)
                # Not as in training: batch normalisation keeps its statistics.
                logits = self.head(self._resizable(images, training=False), training=True)
                loss = loss_of(targets, logits + self._added)
            gradients, _ = tf.clip_by_global_norm(tape.gradient(loss, variables), tune.clip_norm)
            self._adamw.apply(gradients, rate, mean, square)
            self._average.update(decay)
            return loss

        return step

    def _compiled_forward(self) -> Any:
        tf = require("tensorflow", extra="train", purpose="hambatch train")
        size, side = self._options.batch_size, self._options.finetune.side

        @tf.function(  # type: ignore[untyped-decorator, unused-ignore]
            input_signature=[tf.TensorSpec((size, side, side, 3), tf.float32)],
            jit_compile=self._options.xla or None,
        )
        def forward(images: Any) -> Any:
            return self.head(self.base(images, training=False), training=False)

        return forward
