"""What the frozen base sees: features computed once for each (image, view), then cached."""

import hashlib
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
from hambatch.pipelines.training import training_batches
from hambatch.system.array_cache import FeatureCache, Pair
from hambatch.system.files import sha256_of_bytes
from hambatch.system.packages import require
from hambatch.training.augmentation import PLAIN, view_matrix
from hambatch.training.compute import Compute
from hambatch.training.dataset import read_encoded
from hambatch.training.options import Augmentation
from hambatch.training.progress import progress

BATCH = 32


BATCHES_A_BLOCK = 8


PIPELINE_VERSION = 1
"""Raise it when the same options give other pixels or other features."""


CPU = Compute()


class Features:
    """Pooled features of (image, view) pairs.

    Parameters
    ----------
    base
        Keras model: preprocessed float32 ``[n, 224, 224, 3]`` to ``[n, 2048]``.
    files
        Path of every image, by the sha256 of its bytes.
    cache
        Folder of all caches; what lies in one shares everything that decides
        the features: weights, preprocessing, compute and, for views, augmentation and seed.
    """

    def __init__(
        self,
        base: Any,
        files: Mapping[str, Path],
        cache: Path,
        augmentation: Augmentation,
        seed: int,
        compute: Compute = CPU,
    ) -> None:
        self._spec, self._how = InputSpec(), Preprocessing()
        self._files, self._augmentation, self._seed = files, augmentation, seed
        self.base, self._compute = base, compute
        self._predict = _predictor(base, compute)
        self.weights_sha256 = weights_sha256(base)
        key = {
            "weights": self.weights_sha256,
            "input": asdict(self._spec),
            "preprocessing": asdict(self._how),
            "pipeline": PIPELINE_VERSION,
            **compute.key,
        }
        # Plain images serve every seed and every augmentation.
        self._plain = FeatureCache(cache / _digest(key), FEATURES)
        key |= {"augmentation": asdict(augmentation), "seed": seed}
        self._views = FeatureCache(cache / _digest(key), FEATURES)

    def compute(self, pairs: Iterable[Pair]) -> None:
        """See to it that all these pairs are in the cache; plain images first.

        Raises
        ------
        InputError
            If an image is missing, altered since the split, or cannot be decoded.
        """
        wanted = sorted(set(pairs), key=lambda pair: (pair.view, pair.sha256))
        self._fill(self._plain, [pair for pair in wanted if pair.view == PLAIN])
        self._fill(self._views, [pair for pair in wanted if pair.view != PLAIN])

    def read(self, pairs: Sequence[Pair]) -> NDArray[np.float32]:
        """Gather features ``[len(pairs), 2048]``; what is missing is computed first."""
        self.compute(pairs)
        out = np.empty((len(pairs), FEATURES), np.float32)
        plain = [i for i, pair in enumerate(pairs) if pair.view == PLAIN]
        views = [i for i, pair in enumerate(pairs) if pair.view != PLAIN]
        for cache, at in ((self._plain, plain), (self._views, views)):
            out[at] = cache.read([pairs[i] for i in at])
        return out

    def images(self, sha256: Sequence[str]) -> NDArray[np.uint8]:
        """Plain images as scoring sees them on the CPU, uint8 RGB ``[n, 224, 224, 3]``."""
        samples = self._samples([Pair(image, PLAIN) for image in sha256])
        return np.concatenate(list(training_batches(samples, BATCH, self._spec, self._how)))

    def _samples(self, pairs: Sequence[Pair]) -> "_Samples":
        return _Samples(pairs, self._files, self._augmentation, self._seed, self._spec)

    def _fill(self, cache: FeatureCache, pairs: Sequence[Pair]) -> None:
        missing = [pair for pair in pairs if pair not in cache]
        samples, gpu = self._samples(missing), self._compute.gpu
        images = training_batches(samples, BATCH, self._spec, self._how, gpu)
        rows = progress((self._predict(batch) for batch in images), len(missing), "features")
        start = 0
        while block := list(islice(rows, BATCHES_A_BLOCK)):
            features = np.concatenate(block)
            cache.append(missing[start : start + len(features)], features)
            start += len(features)


def weights_sha256(base: Any) -> str:
    """Hash the weights themselves: the same whatever file they came from."""
    digest = hashlib.sha256()
    for weight in base.weights:
        value = np.ascontiguousarray(weight.numpy())
        digest.update(f"{weight.name} {value.dtype} {value.shape}\n".encode())
        digest.update(value.tobytes())
    return digest.hexdigest()


class _Samples:
    """Views as the training pipeline takes them: files are read when their turn comes."""

    def __init__(
        self,
        pairs: Sequence[Pair],
        files: Mapping[str, Path],
        augmentation: Augmentation,
        seed: int,
        spec: InputSpec,
    ) -> None:
        self._pairs, self._files = pairs, files
        self._augmentation, self._seed, self._spec = augmentation, seed, spec

    def __len__(self) -> int:
        return len(self._pairs)

    def name(self, index: int) -> str:
        return str(self._files[self._pairs[index].sha256])

    def encoded(self, index: int) -> NDArray[np.uint8]:
        sha256 = self._pairs[index].sha256
        return read_encoded(self._files[sha256], sha256)

    def matrix(self, index: int) -> NDArray[np.float32]:
        pair, spec = self._pairs[index], self._spec
        return view_matrix(
            self._augmentation, self._seed, pair.sha256, pair.view, spec.height, spec.width
        )


def _predictor(base: Any, compute: Compute) -> Callable[[NDArray[np.uint8]], NDArray[np.float32]]:
    """Compile the base for one batch size: a part batch is padded, so rows never differ by it."""
    tf = require("tensorflow", extra="train", purpose="hambatch train")

    network = in_mixed_precision(base) if compute.mixed_precision else base

    @tf.function(  # type: ignore[untyped-decorator, unused-ignore]
        input_signature=[tf.TensorSpec((BATCH, SIDE, SIDE, 3), tf.float32)],
        jit_compile=compute.xla or None,
    )
    def forward(images: Any) -> Any:
        return tf.cast(network(images, training=False), tf.float32)

    def predict(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        padded = np.zeros((BATCH, *images.shape[1:]), np.uint8)
        padded[: len(images)] = images
        features: NDArray[np.float32] = forward(preprocess(padded)).numpy()
        if compute.mixed_precision and not np.isfinite(features).all():
            raise InputError(
                "these weights leave the range of float16 (65,504): features are not finite.\n"
                "Next: hambatch train without --mixed-precision"
            )
        return features[: len(images)]

    return predict


def _digest(key: Mapping[str, Any]) -> str:
    return sha256_of_bytes(json.dumps(key, sort_keys=True).encode())[:24]
