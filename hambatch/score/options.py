"""Defaults of `hambatch score`: option name = field name = key in the record."""

from dataclasses import dataclass, field
from typing import Any

from hambatch.engines.options import DEFAULT_ENGINE
from hambatch.pipelines.options import DecoderOptions


@dataclass(frozen=True)
class ScoreOptions:
    """`hambatch score`.

    ``threads``, ``streams`` and ``decode_threads`` 0 mean: chosen from the cores of
    this machine (:mod:`hambatch.system.cpu`). ``max_megabytes``
    (10^6 bytes), ``max_megapixels`` and ``decode_seconds`` are limits a file;
    ``fail_over`` is the percentage of failed images that a run puts up with;
    probabilities are the mean over ``tta`` views of an image
    (:mod:`hambatch.backends.test_time_augmentation`);
    ``calibration`` applies the engine's fitted temperature, if it has one;
    every ``sentinel_every``-th group carries a known picture. ``precision`` ``auto``
    is resolved by :mod:`hambatch.engines.precision`, which ``force`` overrules.
    ``model_cache`` keeps what is compiled (:mod:`hambatch.backends.openvino_compile`).
    ``device`` and ``backend`` ``auto`` are resolved by :mod:`hambatch.score.plan`; numbers of
    GPUs are CUDA's. ``decoder`` changes nothing on the CPU.
    """

    engine: str = DEFAULT_ENGINE
    device: str = "auto"
    backend: str = "auto"
    precision: str = "auto"
    force: bool = False
    model_cache: bool = True
    batch_size: int = 64
    threads: int = 0
    streams: int = 0
    decode_threads: int = 0
    readers: int = 2
    prefetch: int = 2
    follow_symlinks: bool = False
    max_megabytes: float = 64.0
    max_megapixels: float = 100.0
    decode_seconds: float = 30.0
    salvage_truncated: bool = False
    tta: int = 1
    calibration: bool = True
    fail_over: float = 100.0
    sentinel_every: int = 1
    decoder: DecoderOptions = field(default_factory=DecoderOptions)

    @classmethod
    def on_cpu(cls, **chosen: Any) -> "ScoreOptions":
        """Give the options with which every machine does the same: OpenVINO on the CPU."""
        return cls(**{"device": "cpu", "backend": "openvino", **chosen})
