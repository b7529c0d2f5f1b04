"""How long is a step of fine-tuning, with batch normalisation folded into the kernels and without?

    python benchmarks/training_step.py --out benchmarks/results/training_step.json

Steps of 32 images of 224 pixels, of noise: decoding takes no part. Both ways alternate in one run,
with and without --mixed-precision where the processor multiplies bfloat16.
"""

import time
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from result import parser_of, publish

from hambatch.backends.keras_network import build_base
from hambatch.system.cpu import multiplies_bfloat16
from hambatch.training.compute import set_up
from hambatch.training.finetuning.data import Batch
from hambatch.training.finetuning.tuner import FineTuner
from hambatch.training.options import FineTuneOptions, TrainOptions

WARM_UP, STEPS, IMAGES = 2, 5, 32


def main() -> None:
    """Write the result."""
    out = parser_of(__doc__ or "").parse_args().out
    precisions = [False, True] if multiplies_bfloat16() else [False]
    cases = [(stage, mixed) for stage in ("conv4", "conv3") for mixed in precisions]
    found = {f"{stage}, {'bfloat16' if m else 'float32'}": measured(stage, m) for stage, m in cases}
    publish(out, {"images_per_step": IMAGES, "cases": found}, found)


def measured(stage: str, mixed: bool) -> dict[str, Any]:
    """Time steps of both ways in turn: seconds of each, the ratio of the medians, images/s."""
    options = TrainOptions(stride_in="3x3", mixed_precision=mixed, device="cpu")
    options = set_up(replace(options, finetune=FineTuneOptions(unfreeze=stage)))
    tuners = {name: tuner_of(name, options) for name in ("folded", "separate")}
    draw = np.random.default_rng(0)
    side = options.finetune.side
    images = draw.integers(0, 256, (IMAGES, side, side, 3), dtype=np.uint8)
    batch = Batch(images, draw.integers(0, 7, IMAGES), np.zeros((IMAGES, 7), np.float32))
    seconds: dict[str, list[float]] = {name: [] for name in tuners}
    for number in range(1, WARM_UP + STEPS + 1):
        for name, tuner in tuners.items():
            started = time.perf_counter()
            tuner.step(number, batch)
            seconds[name].append(time.perf_counter() - started)
    kept = {name: times[WARM_UP:] for name, times in seconds.items()}
    medians = {name: float(np.median(times)) for name, times in kept.items()}
    return {
        "seconds": kept,
        "folded_s": medians["folded"],
        "separate_s": medians["separate"],
        "ratio": medians["separate"] / medians["folded"],
        "images_per_s": IMAGES / medians["folded"],
    }


def tuner_of(way: str, options: TrainOptions) -> FineTuner:
    """Make a tuner of untrained weights; ``separate`` computes with the base's own layers."""
    base = build_base(None, side=options.finetune.side, stride_in=options.stride_in)
    tuner = FineTuner(base, options)
    if way == "separate":
        tuner._features = partial(base, training=False)
    return tuner


if __name__ == "__main__":
    main()
