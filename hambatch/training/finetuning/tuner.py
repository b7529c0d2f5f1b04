"""Base and head in training: one compiled step, and its whole state in arrays."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hambatch.backends.keras_network import build_head, keras_for, preprocess
from hambatch.engines.classes import CLASSES
from hambatch.training.checkpoint import Arrays
from hambatch.training.compute import PURPOSE, in_bfloat16, tensorflow
from hambatch.training.finetuning.data import Batch, mixed, restyled
from hambatch.training.finetuning.folded import fold, without_normalisation
from hambatch.training.finetuning.optimizer import AdamW, Average, one_cycle, trained_weights
from hambatch.training.finetuning.weight_gradients import are_products_faster
from hambatch.training.options import TrainOptions

WEIGHTS, AVERAGES = "weights", "averages"


class FineTuner:
    """A base with a new head; what lies below the unfrozen stages stays as it is.

    Parameters
    ----------
    base
        ResNet50 as :func:`hambatch.backends.keras_network.build_base` makes it. Its weights are
        changed in place.
    """

    def __init__(self, base: Any, options: TrainOptions) -> None:
        tune = options.finetune
        self._options, self.base = options, base
        fold(base)
        products = options.mixed_precision and are_products_faster()
        self._features = without_normalisation(base, products)
        self.head = build_head(options.hidden_units, options.dropout, options.seed)
        self.trained = trained_weights(base, self.head, tune)
        self._adamw = AdamW(self.trained, tune.weight_decay)
        self._average = Average(self.trained, tune.averaging)
        self._variables = {
            WEIGHTS: [weight.variable for weight in self.trained],
            AVERAGES: self._average.values,
            "means": self._adamw.means,
            "squares": self._adamw.squares,
        }
        self._steps: dict[tuple[int, bool], Any] = {}
        self._forward = self._compiled_forward()

    def learning_rate(self, step: int) -> float:
        """Give the head's; that of each stage is a share of it."""
        tune = self._options.finetune
        if step <= tune.head_steps:
            return tune.peak_learning_rate
        cycle = one_cycle(step - tune.head_steps, tune.steps - tune.head_steps, tune.warmup)
        return tune.peak_learning_rate * cycle

    def step(self, number: int, batch: Batch) -> float:
        """Take step ``number``, from 1, on a whole batch; returns its loss.

        All that is random in it is drawn from the seed and its number. Of blended images the one
        with the larger share says what is added to the logits.
        """
        images, labels, added = batch
        if self._options.dropout:
            state = np.random.SeedSequence([self._options.seed, number]).generate_state(2)
            self.head.get_layer("dropout").seed_generator.state.assign(state)
        tune = self._options.finetune
        head_alone = number <= tune.head_steps
        if number == tune.head_steps + 1:
            self._adamw.restart()
        since = number if head_alone else number - tune.head_steps
        numbers = (
            self.learning_rate(number),
            *self._adamw.corrections(since),
            self._average.decay_at(since),
        )
        scalars = (np.float32(value) for value in numbers)
        seed = self._options.seed
        prepared = restyled(preprocess(images), tune.appearance.style_share, seed, number)
        mixture = mixed(prepared, labels, tune.mixup, seed, number)
        kind = images.shape[1], head_alone
        if kind not in self._steps:
            self._steps[kind] = self._compiled_step(*kind)
        with in_bfloat16(self._options.mixed_precision):
            return float(self._steps[kind](*mixture, added, *scalars))

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

    def _compiled_step(self, side: int, head_alone: bool) -> Any:
        tf = tensorflow()
        tune, size = self._options.finetune, self._options.batch_size
        loss_of = keras_for(PURPOSE).losses.CategoricalCrossentropy(
            from_logits=True, label_smoothing=tune.label_smoothing
        )
        # The head's come first.
        count = len(self.head.trainable_variables) if head_alone else len(self.trained)
        variables = self._variables[WEIGHTS][:count]
        scalar = tf.TensorSpec((), tf.float32)
        signature = [
            tf.TensorSpec((size, side, side, 3), tf.float32),
            tf.TensorSpec((size, len(CLASSES)), tf.float32),
            tf.TensorSpec((size, len(CLASSES)), tf.float32),
            *[scalar] * 4,
        ]

        @tf.function(  # type: ignore[untyped-decorator, unused-ignore]
            input_signature=signature, jit_compile=self._options.xla or None
        )
        def step(
            images: Any, targets: Any, added: Any, rate: Any, mean: Any, square: Any, decay: Any
        ) -> Any:
            # What lies below the watched weights is not recorded, so its activations are freed.
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(variables)
                # Not as in training: batch normalisation keeps its statistics.
                logits = self.head(self._features(images), training=True)
                loss = loss_of(targets, logits + added)
            gradients, _ = tf.clip_by_global_norm(tape.gradient(loss, variables), tune.clip_norm)
            self._adamw.apply(gradients, rate, mean, square)
            self._average.update(decay)
            return loss

        return step

    def _compiled_forward(self) -> Any:
        tf = tensorflow()
        size, side = self._options.batch_size, self._options.finetune.side

        @tf.function(  # type: ignore[untyped-decorator, unused-ignore]
            input_signature=[tf.TensorSpec((size, side, side, 3), tf.float32)],
            jit_compile=self._options.xla or None,
        )
        def forward(images: Any) -> Any:
            return self.head(self.base(images, training=False), training=False)

        return forward
