"""How weights move: the learning rate of each step and weight, AdamW, and their average."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from hambatch.backends.keras_network import keras_for
from hambatch.training.compute import PURPOSE, tensorflow
from hambatch.training.options import STAGES, FineTuneOptions


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


class TrainedWeight(NamedTuple):
    """A weight, the factor of its learning rate, and whether it decays."""

    path: str
    variable: Any
    rate: float
    decays: bool


def trained_weights(base: Any, head: Any, tune: FineTuneOptions) -> list[TrainedWeight]:
    """List the head and the convolutions of the stages from ``unfreeze`` up.

    Batch normalisation stays as it is, gamma and beta with its statistics: at 32 images a
    step statistics are noise, and behind a trained convolution neither adds anything, as
    its kernel scales each channel and its bias shifts it. ``base`` has Keras' layer names of
    ResNet50, ``conv4_block1_1_conv`` and so on.
    """
    normalisation = keras_for(PURPOSE).layers.BatchNormalization
    weights = [_trained(variable, 1.0) for variable in head.trainable_variables]
    for depth, stage in enumerate(STAGES[: STAGES.index(tune.unfreeze) + 1]):
        rate = tune.base_rate * tune.stage_decay**depth
        for layer in base.layers:
            if layer.name.startswith(f"{stage}_") and not isinstance(layer, normalisation):
                weights += [_trained(variable, rate) for variable in layer.weights]
    return weights


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
        tf = tensorflow()
        self._tf, self._weights, self._weight_decay = tf, weights, weight_decay
        self.means = [_zeros(tf, weight.variable) for weight in weights]
        self.squares = [_zeros(tf, weight.variable) for weight in weights]

    def restart(self) -> None:
        """Forget all gradients."""
        for moment in (*self.means, *self.squares):
            moment.assign(self._tf.zeros_like(moment))

    @staticmethod
    def corrections(step: int) -> tuple[float, float]:
        """Give how far both moments have filled after ``step`` steps, the first being 1."""
        return 1 - MEAN**step, 1 - SQUARE**step

    def apply(self, gradients: Sequence[Any], rate: Any, filled_mean: Any, filled: Any) -> None:
        """Take one step; ``rate`` is the head's, the rest :meth:`corrections` as scalars.

        Of as many weights, from the first, as there are gradients. TensorFlow's own kernel reads
        and writes each array once; the same in separate operations takes twice as long. It divides
        by the root of the raw second moment, so the floor is scaled like that.
        """
        tf = self._tf
        for weight, gradient, mean, square in zip(
            self._weights, gradients, self.means, self.squares, strict=False
        ):
            weight_rate = rate * weight.rate
            if weight.decays:
                weight.variable.assign(weight.variable * (1 - weight_rate * self._weight_decay))
            tf.raw_ops.ResourceApplyAdam(
                var=weight.variable.handle,
                m=mean.handle,
                v=square.handle,
                beta1_power=1 - filled_mean,
                beta2_power=1 - filled,
                lr=weight_rate,
                beta1=MEAN,
                beta2=SQUARE,
                epsilon=EPSILON * tf.sqrt(filled),
                grad=gradient,
            )


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
        tf = tensorflow()
        self._weights, self._decay = weights, decay
        self.values = [tf.Variable(weight.variable, trainable=False) for weight in weights]

    def decay_at(self, step: int) -> float:
        """Give the share of the old average that is kept: less at first, when it is young."""
        return min(self._decay, (1 + step) / (10 + step))

    def update(self, decay: Any) -> None:
        """Average the present weights in; called inside a compiled step."""
        for weight, average in zip(self._weights, self.values, strict=True):
            average.assign_sub((1 - decay) * (average - weight.variable))
