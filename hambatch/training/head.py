"""How good logits are, in the figures that stop a training."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hambatch.backends.keras_network import build_head, keras_for
from hambatch.engines.classes import CLASSES
from hambatch.engines.manifest import FEATURES
from hambatch.evaluation.measures import confusion_matrix
from hambatch.system.packages import require
from hambatch.training.balance import epoch_plan
from hambatch.training.options import TrainOptions

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class TrainingData:
    """Cached features and labels.

    Attributes
    ----------
    features
        float32 ``[images, 1 + views, 2048]``, view 0 the plain image.
    labels
        int64 ``[images]``.
    instances
        int64 ``[n]``: the image of every instance of the balanced epoch.
    val_features, val_labels
        float32 ``[v, 2048]`` of plain images, int64 ``[v]``.
    """

    features: NDArray[np.float32]
    labels: NDArray[np.int64]
    instances: NDArray[np.int64]
    val_features: NDArray[np.float32]
    val_labels: NDArray[np.int64]


class HeadTrainer:
    """Head, optimizer and compiled step.

    Everything random in an epoch is drawn from (seed, epoch), so that weights
    and optimizer state are all that a resumed run needs.
    """

    def __init__(self, options: TrainOptions) -> None:
        self._keras = keras_for("hambatch train")
        self._options = options
        self.head = build_head(options.hidden_units, options.dropout, options.seed)
        self._optimizer = self._keras.optimizers.Adam(options.learning_rate)
        self._optimizer.build(self.head.trainable_variables)
        self._step = _compile(self._keras, self.head, self._optimizer, options.xla)

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

    def optimizer_state(self) -> dict[str, NDArray[Any]]:
        """Copy Adam's step count and moments."""
        return {str(i): v.numpy().copy() for i, v in enumerate(self._optimizer.variables)}

    def set_optimizer_state(self, state: Arrays) -> None:
        """Put back what :meth:`optimizer_state` returned."""
        for i, variable in enumerate(self._optimizer.variables):
            variable.assign(state[str(i)])


def cross_entropy(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """Mean categorical cross-entropy of logits ``[n, 7]``, in float64."""
    values = logits.astype(np.float64)
    values -= values.max(axis=1, keepdims=True)
    chosen = values[np.arange(len(labels)), labels]
    return float(np.mean(np.log(np.exp(values).sum(axis=1)) - chosen))


def _compile(keras: Any, head: Any, optimizer: Any, xla: bool) -> Any:
    tf = require("tensorflow", extra="train", purpose="hambatch train")
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


class Figures(NamedTuple):
    """Of one validation; names as in the log."""

    val_loss: float
    val_accuracy: float
    val_balanced_accuracy: float


def validate(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> Figures:
    """Compare logits ``[n, 7]`` with labels ``[n]``."""
    predicted = logits.argmax(axis=1)
    return Figures(
        val_loss=cross_entropy(logits, labels),
        val_accuracy=float((predicted == labels).mean()),
        val_balanced_accuracy=_balanced_accuracy(labels, predicted),
    )


def _balanced_accuracy(truth: NDArray[np.int64], predicted: NDArray[np.int64]) -> float:
    """Mean sensitivity of the classes that occur; ROC curves every time would be waste."""
    matrix = confusion_matrix(truth, predicted)
    support = matrix.sum(axis=1)
    return float((np.diag(matrix)[support > 0] / support[support > 0]).mean())
