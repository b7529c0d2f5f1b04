"""A running average of weights: what is validated and exported."""

from collections.abc import Sequence
from typing import Any

from hambatch.require import require
from hambatch.training.finetuning.stages import TrainedWeight


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
