"""Every default, once: option name = field name = key in the record.

Those of `bench` stand in :mod:`hambatch.bench.options`.
"""

from dataclasses import dataclass, field
from typing import Any

from hambatch.pipelines.decoder_options import DecoderOptions
from hambatch.training.finetuning.options import FineTuneOptions


@dataclass(frozen=True)
class SampleOptions:
    """`hambatch samples`."""

    count: int = 32
    seed: int = 0


@dataclass(frozen=True)
class PrepareOptions:
    """`hambatch prepare`: fractions are of lesions, 0 < f < 1."""

    val_fraction: float = 0.15
    test_fraction: float = 0.15
    seed: int = 0


@dataclass(frozen=True)
class ScoreOptions:
    """`hambatch score`.

    ``threads``, ``streams`` and ``decode_threads`` 0 mean: chosen from the cores of
    this machine (:mod:`hambatch.sharing`). ``max_megabytes``
    (10^6 bytes), ``max_megapixels`` and ``decode_seconds`` are limits a file;
    ``fail_over`` is the percentage of failed images that a run puts up with;
    probabilities are the mean over ``tta`` views of an image (:mod:`hambatch.views`);
    ``calibration`` applies the engine's fitted temperature, if it has one;
    every ``sentinel_every``-th group carries a known picture. ``precision`` ``auto``
    is resolved by :mod:`hambatch.engines.choice`, which ``force`` overrules.
    ``model_cache`` keeps what is compiled (:mod:`hambatch.backends.model_cache`).
    ``device`` and ``backend`` ``auto`` are resolved by :mod:`hambatch.placement`; numbers of
    GPUs are CUDA's. ``decoder`` changes nothing on the CPU.
    """

    engine: str = "ham10000-resnet50"
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


@dataclass(frozen=True)
class VerifyOptions:
    """`hambatch verify`; ``engine`` None means the one that the record names."""

    engine: str | None = None
    sample: int = 32
    seed: int = 0


@dataclass(frozen=True)
class ExplainOptions:
    """`hambatch explain`.

    ``engine`` None means the one that the table's record names, or the default engine;
    ``of_class`` None: of each image the class that is predicted. Of a table, the ``top`` rows
    of the highest probability are taken, among those predicted ``label`` if it is given.
    """

    engine: str | None = None
    of_class: str | None = None
    label: str | None = None
    top: int = 16


@dataclass(frozen=True)
class CalibrateOptions:
    """`hambatch engines calibrate`: ``split`` are parts of the split table."""

    split: tuple[str, ...] = ("val",)
    precision: str = "fp32"


@dataclass(frozen=True)
class ParityOptions:
    """`hambatch parity`; ``precision`` ``auto``: all that the engine and the machine have."""

    engine: str = ScoreOptions.engine
    device: str = ScoreOptions.device
    precision: str = ScoreOptions.precision
    count: int = 64


@dataclass(frozen=True)
class Augmentation:
    """Random views of a training image, each parameter uniform in its range.

    Rotation in degrees either way; shift as a share of the side; zoom as a
    share of the scale, so 0.1 means 0.9 to 1.1.
    """

    rotation_degrees: float = 180.0
    shift: float = 0.1
    zoom: float = 0.1
    horizontal_flip: bool = True
    vertical_flip: bool = True


@dataclass(frozen=True)
class TrainOptions:
    """`hambatch train`: both recipes, each of their numbers a field.

    ``recipe`` ``finetune`` takes the numbers in ``finetune`` instead of those in
    :data:`hambatch.training.finetuning.options.PUBLISHED_ONLY`. The others are the published
    recipe's: Dense(512, ReLU), Dropout(0.5), Adam 1e-4, categorical cross-entropy,
    500 images a class; the base stays frozen, in inference mode.
    ``views`` augmented views of every training image are computed once.
    ``folds`` 0 trains an engine; 2 and more cross-validate the recipe instead.
    ``device`` ``auto`` is resolved by :mod:`hambatch.training.compute`. ``xla`` compiles the
    base and the head's step, ``mixed_precision`` computes the base's features in float16; the
    head, which is small, is always trained in float32, so that no loss need be scaled.
    """

    recipe: str = "finetune"
    weights: str = "imagenet"
    weights_licence: str = ""
    seed: int = 0
    images_per_class: int = 500
    views: int = 4
    hidden_units: int = 512
    dropout: float = 0.5
    learning_rate: float = 1e-4
    batch_size: int = 32
    epochs: int = 100
    patience: int = 15
    folds: int = 0
    device: str = "auto"
    xla: bool = False
    mixed_precision: bool = False
    augmentation: Augmentation = Augmentation()
    finetune: FineTuneOptions = field(default_factory=FineTuneOptions)


@dataclass(frozen=True)
class Int8Options:
    """`hambatch export --int8`.

    ``positions`` of every image and convolution are fitted; ``equalise`` is the power of
    a channel's largest activation that it is divided by; ``ridge`` and ``damping`` are
    shares of the mean variance; the first ``keep_fp32`` convolutions stay FP32: the first
    one, and by default ResNet50's first stage; ``restore_fp32`` of the others go back to FP32
    in the end, those that disturb the logits most.
    """

    calibration_images: int = 2000
    positions: int = 32
    seed: int = 0
    equalise: float = 0.5
    ridge: float = 0.02
    damping: float = 0.01
    keep_fp32: int = 11
    restore_fp32: int = 2


@dataclass(frozen=True)
class BuildOptions:
    """`hambatch build`: one TensorRT plan.

    ``precision`` and ``max_batch``, the images a request, are those that `score` runs by TensorRT;
    ``device`` is the number of a GPU; ``workspace_megabytes`` (10^6 bytes) is the most scratch
    memory that a kernel may ask for; the rest is left to the decoder.
    """

    engine: str = ScoreOptions.engine
    precision: str = "fp32"
    max_batch: int = 64
    device: int = 0
    workspace_megabytes: int = 4096
    hardware_compatible: bool = False
    version_compatible: bool = False
    rebuild: bool = False
