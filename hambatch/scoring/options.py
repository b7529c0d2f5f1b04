"""Options of `hambatch score`: option name = field name = key in the record."""

from dataclasses import dataclass, field
from typing import Annotated, Any

from msgspec import Meta

from hambatch.engines.options import DEFAULT_ENGINE
from hambatch.pipelines.options import DecoderOptions
from hambatch.sources.options import MAX_RATIO

Threads = Annotated[int, Meta(ge=0, le=1024)]
VIEWS_AT_MOST = 8
"""Symmetries of a square: as many views does test-time augmentation have."""

Amount = Annotated[float, Meta(ge=0, le=1e300)]


@dataclass(frozen=True)
class ScoreOptions:
    """`hambatch score`: defaults, and what a record may hold.

    ``threads``, ``streams`` and ``decode_threads`` 0 mean: chosen from the cores of
    this machine (:mod:`hambatch.system.cpu`). ``max_megabytes`` (10^6 bytes),
    ``max_megapixels``, ``min_side`` (pixels), ``max_aspect`` (longer by shorter side) and
    ``decode_seconds`` are limits of one file; an archive that inflates more than ``max_ratio``-fold
    is not read, and ``archives`` reads those inside a source too; ``all_formats`` decodes WebP,
    TIFF and others beside JPEG, PNG and DICOM; ``keep_ids`` carries the identifiers of DICOM files
    into the table; ``fail_over`` is the
    percentage of failed images above which a run stops. Probabilities are the mean over
    ``tta`` views of an image (:mod:`hambatch.backends.test_time_augmentation`);
    ``calibration`` applies the engine's fitted temperature, if it has one; every
    ``sentinel_every``-th batch carries a sentinel; ``double_check`` percent of the requests are
    computed twice (:mod:`hambatch.backends.double_check`). :mod:`hambatch.scoring.plan` resolves
    ``auto`` of ``device``, ``backend`` and ``precision``; ``force`` uses INT8 whatever its
    gate says. ``model_cache`` keeps compiled graphs (:mod:`hambatch.backends.openvino_compile`).
    ``decoder`` changes nothing on the CPU.
    """

    engine: Annotated[str, Meta(min_length=1)] = DEFAULT_ENGINE
    device: str = "auto"
    backend: str = "auto"
    precision: str = "auto"
    force: bool = False
    model_cache: bool = True
    batch_size: Annotated[int, Meta(ge=1, le=1024)] = 64
    threads: Threads = 0
    streams: Threads = 0
    decode_threads: Threads = 0
    readers: Annotated[int, Meta(ge=1, le=256)] = 2
    prefetch: Annotated[int, Meta(ge=1, le=32)] = 2
    follow_symlinks: bool = False
    archives: bool = False
    keep_ids: bool = False
    all_formats: bool = True
    max_ratio: Annotated[float, Meta(ge=1, le=1e9)] = MAX_RATIO
    max_megabytes: Amount = 64.0
    max_megapixels: Amount = 100.0
    min_side: Annotated[int, Meta(ge=1, le=10**9)] = 28
    max_aspect: Annotated[float, Meta(ge=1, le=1e9)] = 8.0
    decode_seconds: Annotated[float, Meta(ge=0, le=1e9)] = 30.0
    salvage_truncated: bool = False
    tta: Annotated[int, Meta(ge=1, le=VIEWS_AT_MOST)] = 1
    calibration: bool = True
    fail_over: Annotated[float, Meta(ge=0, le=100)] = 100.0
    double_check: Annotated[float, Meta(ge=0, le=100)] = 0.0
    sentinel_every: Annotated[int, Meta(ge=1, le=10**18)] = 1
    decoder: DecoderOptions = field(default_factory=DecoderOptions)

    @classmethod
    def on_cpu(cls, **chosen: Any) -> "ScoreOptions":
        """Give the options with which every machine does the same: OpenVINO on the CPU."""
        return cls(**{"device": "cpu", "backend": "openvino", **chosen})

    @property
    def device_is_open(self) -> bool:
        """Whether device and backend are both ``auto``: then the CPU may do a GPU's work."""
        return (self.device, self.backend) == ("auto", "auto")
