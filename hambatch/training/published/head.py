"""The head in training: epoch after epoch, each saved before the next, until it stops improving."""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hambatch.backends.keras_network import build_head, keras_for
from hambatch.engines.classes import CLASSES
from hambatch.engines.manifest import FEATURES
from hambatch.training.checkpoint import Arrays, Checkpoint
from hambatch.training.compute import PURPOSE, tensorflow
from hambatch.training.options import TrainOptions
from hambatch.training.published.data import TrainingData, epoch_plan
from hambatch.training.validation import best_of, lines_since_best, validate

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Epoch:
    """One line of the log; ``epoch`` counts from 1."""

    epoch: int
    train_loss: float
    val_loss: float
    val_accuracy: float
    val_balanced_accuracy: float
    seconds: float


@dataclass(frozen=True)
class Epochs:
    """Those that are done."""

    history: tuple[Epoch, ...] = ()


def fit(
    trainer: "HeadTrainer",
    data: TrainingData,
    options: TrainOptions,
    checkpoint: Checkpoint[Epochs],
) -> tuple[Epoch, ...]:
    """Train until validation balanced accuracy has not risen for ``patience`` epochs.

    Resumes from the checkpoint if there is one. Leaves the trainer with the weights of the best
    epoch. Raises InputError if the checkpoint is of another run.
    """
    history, best = Epochs().history, trainer.weights()
    if stored := checkpoint.load():
        progress, state = stored
        trainer.restore(state)
        history, best = progress.history, state["best"]
    while not finished(history, options):
        line = _epoch(trainer, data, number=len(history) + 1)
        history = (*history, line)
        if best_of(history) is line:
            best = trainer.weights()
        checkpoint.save(Epochs(history), {**trainer.state(), "best": best})
        _log(history, options)
    trainer.set_weights(best)
    return history


def finished(history: Sequence[Epoch], options: TrainOptions) -> bool:
    """Whether all epochs are done or the best is ``patience`` epochs old."""
    return len(history) >= options.epochs or lines_since_best(history) >= options.patience


def _epoch(trainer: "HeadTrainer", data: TrainingData, number: int) -> Epoch:
    started = time.monotonic()
    train_loss = trainer.run_epoch(data, number)
    figures = validate(trainer.logits(data.val_features), data.val_labels)
    seconds = round(time.monotonic() - started, 3)
    return Epoch(number, train_loss, *figures, seconds)


def _log(history: Sequence[Epoch], options: TrainOptions) -> None:
    """Log the last epoch, and the shortest and longest time that may be left."""
    last = history[-1]
    at_most = options.epochs - last.epoch
    at_least = min(at_most, options.patience - lines_since_best(history))
    log.info(
        "epoch %d: loss %.4f, validation loss %.4f, balanced accuracy %.4f, "
        "%.1f s; %.0f to %.0f s left",
        *(last.epoch, last.train_loss, last.val_loss, last.val_balanced_accuracy, last.seconds),
        *(at_least * last.seconds, at_most * last.seconds),
    )


class HeadTrainer:
    """Head, optimizer and compiled step.

    Everything random in an epoch is drawn from (seed, epoch), so that weights
    and optimizer state are all that a resumed run needs.
    """

    def __init__(self, options: TrainOptions) -> None:
        keras = keras_for(PURPOSE)
        self._options = options
        self.head = build_head(options.hidden_units, options.dropout, options.seed)
        self._optimizer = keras.optimizers.Adam(options.learning_rate)
        self._optimizer.build(self.head.trainable_variables)
        self._step = _compile(keras, self.head, self._optimizer, options.xla)

    def run_epoch(self, data: TrainingData, epoch: int) -> float:
        """Take one pass over the balanced instances; returns their mean loss."""
        seed, size = self._options.seed, self._options.batch_size
        order, views = epoch_plan(len(data.instances), data.features.shape[1] - 1, seed, epoch)
        state = np.random.SeedSequence([seed, epoch]).generate_state(2)
        # Keras gives a dropout of 0 no generator.
        if self._options.dropout:
            self.head.get_layer("dropout").seed_generator.state.assign(state)
        images, total = data.instances[order], 0.0
        for start in range(0, len(order), size):
            at = slice(start, start + size)
            loss = self._step(data.features[images[at], views[at]], data.labels[images[at]])
            total += float(loss) * len(images[at])
        return total / len(order)

    def logits(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Score features ``[n, 2048]``, dropout off: ``[n, 7]``."""
        out: NDArray[np.float32] = self.head(features, training=False).numpy()
        return out

    def weights(self) -> dict[str, NDArray[Any]]:
        """Copy the head's weights, by layer and name."""
        return {weight.path: weight.numpy().copy() for weight in self.head.trainable_variables}

    def set_weights(self, weights: Arrays) -> None:
        """Put back what :meth:`weights` returned."""
        for weight in self.head.trainable_variables:
            weight.assign(weights[weight.path])

    def state(self) -> dict[str, Arrays]:
        """Copy the weights, and Adam's step count and moments."""
        adam = {str(i): v.numpy().copy() for i, v in enumerate(self._optimizer.variables)}
        return {"weights": self.weights(), "optimizer": adam}

    def restore(self, state: Mapping[str, Arrays]) -> None:
        """Put back what :meth:`state` returned."""
        self.set_weights(state["weights"])
        for i, variable in enumerate(self._optimizer.variables):
            variable.assign(state["optimizer"][str(i)])


def _compile(keras: Any, head: Any, optimizer: Any, xla: bool) -> Any:
    tf = tensorflow()
    loss_of = keras.losses.CategoricalCrossentropy(from_logits=True)
    variables = head.trainable_variables

    @tf.function(  # type: ignore[untyped-decorator, unused-ignore]
        input_signature=[
            tf.TensorSpec((None, FEATURES), tf.float32),
            tf.TensorSpec((None,), tf.int64),
        ],
        jit_compile=xla or None,
    )
    def step(features: Any, labels: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = loss_of(tf.one_hot(labels, len(CLASSES)), head(features, training=True))
        gradients = tape.gradient(loss, variables)
        optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return loss

    return step
