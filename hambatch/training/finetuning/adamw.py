"""Adam with decoupled weight decay, a learning rate for each weight, all state in the open.

Keras' own has one rate for all weights.
"""

from collections.abc import Sequence
from typing import Any

from hambatch.require import require
from hambatch.training.finetuning.stages import TrainedWeight

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
