"""What the frozen base sees: features computed once for each (image, view), then cached."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hambatch.backends.keras_network import SIDE, in_mixed_precision, preprocess
from hambatch.engines.manifest import FEATURES, InputSpec, Preprocessing
from hambatch.errors import InputError
from hambatch.system.array_cache import FeatureCache, Pair
from hambatch.system.files import sha256_of_bytes
from hambatch.training.augmentation import PLAIN
from hambatch.training.compute import tensorflow
from hambatch.training.options import TrainOptions
from hambatch.training.progress import progress
from hambatch.training.recipe import PIPELINE_VERSION, sha256_of_weights
from hambatch.training.views import Views

BATCH, BATCHES_A_BLOCK = 32, 8

DEFAULT_COMPUTE = {"device": "cpu", "xla": False, "mixed_precision": False, "stride_in": "1x1"}
"""Any other value gives other features, of the same weights."""


class Features:
    """Pooled features of (image, view) pairs.

    Parameters
    ----------
    base
        Keras model: preprocessed float32 ``[n, 224, 224, 3]`` to ``[n, 2048]``.
    files
        Path of every image, by the sha256 of its bytes.
    cache
        Folder of all caches; each is of one set of weights, preprocessing, computation and, for
        views, augmentation and seed.
    options
        With the device set up.
    """

    def __init__(
        self, base: Any, files: Mapping[str, Path], cache: Path, options: TrainOptions
    ) -> None:
        self.base, self.weights_sha256 = base, sha256_of_weights(base)
        self.views = Views(files, options, SIDE, BATCH)
        self._predict = _predictor(base, options)
        compute = {name: getattr(options, name) for name in DEFAULT_COMPUTE}
        key = {
            "weights": self.weights_sha256,
            "input": asdict(InputSpec()),
            "preprocessing": asdict(Preprocessing()),
            "pipeline": PIPELINE_VERSION,
            **{name: value for name, value in compute.items() if value != DEFAULT_COMPUTE[name]},
        }
        # Plain images serve every seed and every augmentation.
        self._plain = FeatureCache(cache / _digest(key), FEATURES)
        key |= {"augmentation": asdict(options.augmentation), "seed": options.seed}
        self._augmented = FeatureCache(cache / _digest(key), FEATURES)

    def compute(self, pairs: Iterable[Pair]) -> None:
        """Compute what is not in the cache; plain images first.

        Raises InputError if an image is missing, altered since the split, or cannot be decoded.
        """
        wanted = sorted(set(pairs), key=lambda pair: (pair.view, pair.sha256))
        self._fill(self._plain, [pair for pair in wanted if pair.view == PLAIN])
        self._fill(self._augmented, [pair for pair in wanted if pair.view != PLAIN])

    def read(self, pairs: Sequence[Pair]) -> NDArray[np.float32]:
        """Gather features ``[len(pairs), 2048]``; what is missing is computed first."""
        self.compute(pairs)
        out = np.empty((len(pairs), FEATURES), np.float32)
        plain = np.array([pair.view == PLAIN for pair in pairs], bool)
        for cache, at in ((self._plain, plain), (self._augmented, ~plain)):
            out[at] = cache.read([pairs[i] for i in np.flatnonzero(at).tolist()])
        return out

    def _fill(self, cache: FeatureCache, pairs: Sequence[Pair]) -> None:
        missing = [pair for pair in pairs if pair not in cache]
        images = self.views.batches(missing)
        rows = progress((self._predict(batch) for batch in images), len(missing), "features")
        start = 0
        while block := list(islice(rows, BATCHES_A_BLOCK)):
            features = np.concatenate(block)
            cache.append(missing[start : start + len(features)], features)
            start += len(features)


def _digest(key: Mapping[str, Any]) -> str:
    return sha256_of_bytes(json.dumps(key, sort_keys=True).encode())[:24]


def _predictor(
    base: Any, options: TrainOptions
) -> Callable[[NDArray[np.uint8]], NDArray[np.float32]]:
    """Compile the base for one batch size: a part batch is padded, so rows never differ by it."""
    tf = tensorflow()
    network = in_mixed_precision(base) if options.mixed_precision else base

    @tf.function(  # type: ignore[untyped-decorator, unused-ignore]
        input_signature=[tf.TensorSpec((BATCH, SIDE, SIDE, 3), tf.float32)],
        jit_compile=options.xla or None,
    )
    def forward(images: Any) -> Any:
        return tf.cast(network(images, training=False), tf.float32)

    def predict(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        padded = np.zeros((BATCH, *images.shape[1:]), np.uint8)
        padded[: len(images)] = images
        features: NDArray[np.float32] = forward(preprocess(padded)).numpy()
        if options.mixed_precision and not np.isfinite(features).all():
            raise InputError(
                "these weights leave the range of float16 (65,504): features are not finite.\n"
                "Next: hambatch train without --mixed-precision"
            )
        return features[: len(images)]

    return predict
