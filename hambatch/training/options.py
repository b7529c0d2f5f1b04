"""Defaults of training, export and calibration: option name = field name = key in the record."""

from dataclasses import asdict, dataclass, field
from typing import Any

PUBLISHED_ONLY = frozenset({"images_per_class", "views", "learning_rate", "epochs", "patience"})
"""Options of training that mean nothing to fine-tuning."""


@dataclass(frozen=True)
class Jitter:
    """What is done to a view's pixels, each number uniform in its range.

    ``brightness``, ``contrast`` and ``saturation`` are factors, given as the most that
    they differ from 1; hue turns either way. It stays small: colour is evidence here, as
    the blue-white veil of a melanoma is. ``cutout`` is the side of a blanked square as a
    share of the image's side; 0.2 is 4 % of the area, less than a lesion.
    """

    brightness: float = 0.08
    contrast: float = 0.08
    saturation: float = 0.08
    hue_degrees: float = 2.0
    cutout: float = 0.2


@dataclass(frozen=True)
class FineTuneOptions:
    """Numbers of fine-tuning, beside those that it shares with the published recipe.

    ``side`` is that of the images that the network sees, in training and in scoring: more pixels
    show more, and cost as much more.
    Stages from ``unfreeze`` up are trained with the head; conv4 and conv5 hold 22 of the
    base's 23.5 million weights. A step is a batch: 900 ``steps`` of 32 are 7 passes over
    4,300 images.
    ``peak_learning_rate`` is the head's, which starts from nothing; conv5 learns ``base_rate``
    times as fast, and each stage below ``stage_decay`` times as fast as the one above it. It
    rises for the share ``warmup`` of all steps, while the head's first gradients are noise to
    the base, then falls to 0.
    ``weight_decay`` is decoupled, of kernels alone. ``clip_norm`` bounds the norm of all
    gradients together: one odd batch does not undo the others. ``averaging`` 0.99 averages
    weights over about 100 steps, a ninth of the run.
    ``balance`` draws classes in proportion to their images (``none``), to the square root of
    that (``sqrt``), or alike (``full``): in between, rare classes are seen more often and
    their few images are not learnt by heart.
    ``logit_adjustment`` takes as much of what the network learns of these shares out of its
    scores: with 1 it scores as if all classes were equally frequent, whatever it is fed.
    ``mixup`` blends images of a batch in pairs, by shares of Beta(``mixup``, ``mixup``).
    The first ``crop_share`` of all steps see crops of ``crop_side`` pixels of each view.
    ``val_every`` 150 steps keeps validation of 900 images below a tenth of the time on a CPU,
    where both are slow. ``val_patience`` is counted in validations.
    ``final`` trains on the validation images as well, for a fixed number of steps: ``stop_step``,
    or all where that is 0. The learning rate goes as for all ``steps``, so that a step which was
    chosen in a run of as many means the same.
    ``checkpoint_seconds`` changes no weight; a checkpoint is of some 460 MB.
    """

    side: int = 224
    unfreeze: str = "conv4"
    steps: int = 900
    peak_learning_rate: float = 5e-4
    base_rate: float = 0.4
    stage_decay: float = 0.4
    warmup: float = 0.1
    weight_decay: float = 0.05
    clip_norm: float = 1.0
    averaging: float = 0.99
    label_smoothing: float = 0.1
    mixup: float = 0.0
    crop_side: int = 160
    crop_share: float = 0.0
    balance: str = "sqrt"
    logit_adjustment: float = 0.75
    val_every: int = 150
    val_patience: int = 4
    final: bool = False
    stop_step: int = 0
    checkpoint_seconds: float = 300.0
    jitter: Jitter = Jitter()

    @property
    def last_step(self) -> int:
        """Where it ends at the latest."""
        return self.stop_step or self.steps


@dataclass(frozen=True)
class CalibrateOptions:
    """`hambatch engines calibrate`: ``split`` are parts of the split table."""

    split: tuple[str, ...] = ("val",)
    precision: str = "fp32"


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
    :data:`hambatch.training.options.PUBLISHED_ONLY`. The others are the published
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


def chosen_options(options: TrainOptions) -> dict[str, Any]:
    """Give the options as plain values, without those of the other recipe."""
    unused = {"finetune"} if options.recipe == "published" else PUBLISHED_ONLY
    return {name: value for name, value in asdict(options).items() if name not in unused}
