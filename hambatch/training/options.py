"""Options of training, export and calibration: option name = field name = key in the record."""

from dataclasses import asdict, dataclass, field
from typing import Any

from hambatch.training.extra_options import Extra, ExtraOptions
from hambatch.training.option_fields import (
    COUNT,
    NOT_NEGATIVE,
    PART,
    POSITIVE,
    SHARE,
    Range,
    option,
)
from hambatch.training.view_options import Appearance, Augmentation, Jitter

RECIPE_NAMES = ("finetune", "published")

PUBLISHED_ONLY = frozenset({"images_per_class", "views", "learning_rate", "epochs", "patience"})
"""Options of training that fine-tuning does not have."""

STAGES = ("conv5", "conv4", "conv3", "conv2", "conv1")
"""Stages of ResNet50 that may be trained, from the top."""

BALANCES = {"none": 1.0, "sqrt": 0.5, "full": 0.0}
"""The power of a class's number of images that it is drawn in proportion to."""


@dataclass(frozen=True)
class FineTuneOptions:
    """Numbers of fine-tuning, beside those that it shares with the published recipe.

    ``side`` is that of the images in training and in scoring: more pixels show more, and cost
    as much more. Stages from ``unfreeze`` up are trained with the head; conv4 and conv5 hold 22
    of the base's 23.5 million weights. 900 ``steps`` of 32 are 7 passes over 4,300 images.

    ``peak_learning_rate`` is the head's, which starts from random weights; conv5 learns
    ``base_rate`` times as fast, and each stage below ``stage_decay`` times as fast as the one
    above it. It rises for the share ``warmup`` of all steps, while the head's first gradients
    are noise to the base, then falls to 0. ``weight_decay`` is decoupled. ``clip_norm`` keeps
    one odd batch from undoing the others. ``averaging`` 0.99 averages weights over about 100
    steps, a ninth of the run.

    ``head_steps`` train the head alone, at the highest rate; then AdamW begins anew with the base.
    They cost a third of the others, and spare the base the gradients of a random head [1]_.

    ``balance`` draws classes in proportion to their images (``none``), to the square root of
    that (``sqrt``), or alike (``full``): in between, rare classes are seen more often and
    their few images are not learnt by heart. ``logit_adjustment`` takes as much of what the
    network learns of these shares out of its scores: 1 scores as if classes were equally frequent.

    ``val_every`` 150 steps keeps validation of 900 images below a tenth of the time on a CPU,
    where both are slow. ``final`` trains on the validation images as well, for a fixed number
    of steps: ``stop_step``, or all where that is 0. The learning rate goes as for all ``steps``,
    so that the best step of a run of as many means the same.
    ``checkpoint_seconds`` changes no weight; a checkpoint is of some 460 MB.

    References
    ----------
    .. [1] Kumar et al., Fine-Tuning can Distort Pretrained Features and Underperform
       Out-of-Distribution, ICLR 2022, arXiv:2202.10054
    """

    side: int = option(
        224, "Side of the network's input in pixels; a multiple of 32.", Range(64, 512)
    )
    unfreeze: str = option("conv4", "Lowest stage that is trained.", STAGES)
    steps: int = option(900, "Maximum number of batches.", COUNT)
    head_steps: int = option(0, "Steps, from the first, that train the head alone.", NOT_NEGATIVE)
    peak_learning_rate: float = option(5e-4, "Highest learning rate of the head.", POSITIVE)
    base_rate: float = option(0.4, "Learning rate of conv5 as a share of the head's.", PART)
    stage_decay: float = option(
        0.4, "Learning rate of a stage as a share of that of the stage above.", PART
    )
    warmup: float = option(0.1, "Share of the steps in which the learning rate rises.", SHARE)
    weight_decay: float = option(0.05, "Weight decay of AdamW, of kernels alone.", NOT_NEGATIVE)
    clip_norm: float = option(1.0, "Largest global norm of the gradients.", POSITIVE)
    averaging: float = option(0.99, "How much of the weights' average a step keeps.", SHARE)
    label_smoothing: float = option(0.1, "Share of the label that goes to all classes.", SHARE)
    mixup: float = option(
        0.0, "Blend images in pairs, by shares of Beta(mixup, mixup); 0: do not.", NOT_NEGATIVE
    )
    crop_side: int = option(160, "Side of the crops in pixels.", Range(32, 512))
    crop_share: float = option(
        0.0, "Share of the steps, from the first, that see crops.", Range(0, 1)
    )
    crop_extent: float = option(
        0.0,
        "Share of a view's side that a crop shows, resized; 1: all of it, 0: do not resize.",
        Range(0, 1),
    )
    balance: str = option(
        "sqrt",
        "How often a class is drawn: none: by its number of images; sqrt: by the square root; "
        "full: equally often.",
        (*BALANCES,),
    )
    logit_adjustment: float = option(
        0.75,
        "How much of the classes' shares the scores leave out; 1: all, 0: nothing.",
        NOT_NEGATIVE,
    )
    val_every: int = option(150, "Steps from one validation to the next.", COUNT)
    val_patience: int = option(4, "Validations that are no better before it stops.", COUNT)
    final: bool = option(
        False, "Train on val as well as train, without validation; test is left out."
    )
    stop_step: int = option(0, "With --final: stop after this step; 0: after all.", NOT_NEGATIVE)
    checkpoint_seconds: float = option(300.0, "Time from one checkpoint to the next.", NOT_NEGATIVE)
    jitter: Jitter = field(default_factory=Jitter)
    appearance: Appearance = field(default_factory=Appearance)
    extras: ExtraOptions = field(default_factory=ExtraOptions)

    @property
    def blurred_until(self) -> int:
        """The last step that sees images that are blurred at ``side``."""
        if not any(self.is_blurred(source) for source in self.extras.extra):
            return self.steps
        return max(1, round(self.extras.blurred_share * self.steps))

    def is_blurred(self, source: Extra) -> bool:
        """Whether the images of a source have fewer pixels than the network's input."""
        return 0 < source.side < self.side

    @property
    def last_step(self) -> int:
        """The last step unless validation stops it earlier."""
        return self.stop_step or self.steps


@dataclass(frozen=True)
class TrainOptions:
    """`hambatch train`: both recipes, each of their numbers a field.

    ``recipe`` ``finetune`` takes the numbers in ``finetune`` instead of those in
    :data:`PUBLISHED_ONLY`. The others are the published recipe's: Dense(512, ReLU),
    Dropout(0.5), Adam 1e-4, categorical cross-entropy, 500 images a class; the base stays
    frozen, in inference mode. ``views`` augmented views of every training image are computed
    once. ``folds`` 0 trains an engine; 2 and more cross-validate the recipe instead, or, of a final
    training, train as many networks and average their weights.

    ``stride_in`` is of the architecture, and has to be that of ``weights``.

    ``device`` ``auto`` is resolved by :mod:`hambatch.training.compute`. ``xla`` compiles the
    base and the head's step. ``mixed_precision`` computes the published recipe's features in
    float16; its head, which is small, is always trained in float32, without loss scaling.
    """

    recipe: str = option(
        "finetune",
        "Tune the base's upper stages with the head, or train a head on frozen features.",
        RECIPE_NAMES,
    )
    weights: str = option(
        "imagenet", "'imagenet', or a .weights.h5 or .npz file of the ResNet50 base."
    )
    weights_licence: str = option(
        "", "Licence or origin of the base's weights, for the model card."
    )
    weights_licence_file: str = option(
        "", "Text of that licence, which is copied into the engine's folder."
    )
    stride_in: str = option(
        "1x1",
        "Convolution that halves the image in a stage's first block: 1x1 as in Keras' ResNet50; "
        '3x3 as in "V1.5", with symmetric padding.',
        ("1x1", "3x3"),
    )
    seed: int = option(0, "Seed of all random choices.", Range(0, 2**31 - 3))
    images_per_class: int = option(
        500, "Images per class: drawn, or repeated where there are fewer.", COUNT
    )
    views: int = option(4, "Augmented views of every training image.", NOT_NEGATIVE)
    hidden_units: int = option(512, "Hidden units of the head.", COUNT)
    dropout: float = option(0.5, "Dropout of the head.", SHARE)
    learning_rate: float = option(1e-4, "Learning rate of Adam.", POSITIVE)
    batch_size: int = option(32, "Images per step.", COUNT)
    epochs: int = option(100, "Maximum number of epochs.", COUNT)
    patience: int = option(15, "Epochs without a better validation before it stops.", COUNT)
    folds: int = option(
        0,
        "2 and more: cross-validate by lesion, and write no engine; with --final an engine of the "
        "mean of their weights.",
    )
    device: str = option("auto", "auto: a GPU that is seen, else the CPU.", ("auto", "cpu", "gpu"))
    xla: bool = option(False, "Compile with XLA.")
    mixed_precision: bool = option(
        False,
        "finetune: multiply in bfloat16, on a CPU that can; published: features in float16, on a "
        "GPU.",
    )
    augmentation: Augmentation = field(default_factory=Augmentation)
    finetune: FineTuneOptions = FineTuneOptions()

    @property
    def final(self) -> bool:
        """Whether the validation images are trained on too."""
        return self.recipe == "finetune" and self.finetune.final

    @property
    def extras(self) -> ExtraOptions:
        """Other sources of training images; none of the published recipe."""
        return self.finetune.extras if self.recipe == "finetune" else ExtraOptions()

    @property
    def trained_parts(self) -> tuple[str, ...]:
        """The parts of the split table that are trained on."""
        return ("train", "val") if self.final else ("train",)

    def of_recipe(self) -> dict[str, Any]:
        """Give the options as plain values, without those of the other recipe."""
        unused = {"finetune"} if self.recipe == "published" else PUBLISHED_ONLY
        found = {name: value for name, value in asdict(self).items() if name not in unused}
        if "finetune" in found:
            del found["finetune"]["extras"], found["finetune"]["appearance"]
            for later in ("head_steps", "crop_extent"):
                if not found["finetune"][later]:
                    # As in records from before there was a choice.
                    del found["finetune"][later]
            found["finetune"] |= self.finetune.extras.record()
            found["finetune"] |= self.finetune.appearance.record()
        return found


@dataclass(frozen=True)
class CalibrateOptions:
    """`hambatch engines calibrate`: ``split`` are parts of the split table."""

    split: tuple[str, ...] = ("val",)
    precision: str = "fp32"


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
