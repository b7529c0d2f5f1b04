"""The engine's known pictures: the real images that are at hand wherever a plan is built."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from hambatch.engines.loading import Engine
from hambatch.engines.sentinel_images import write_sentinel_images
from hambatch.errors import EngineError
from hambatch.export.images import decode
from hambatch.plans.invariance import Images, Predict
from hambatch.probabilities import softmax


def decode_known_pictures(engine: Engine) -> Images:
    """Decode and resize them on the CPU; for an engine without any they are drawn."""
    how = engine.manifest.input, engine.manifest.preprocessing
    names = [picture.file for picture in engine.manifest.sentinels.pictures]
    if names:
        return decode([engine.folder / name for name in names], *how)
    with tempfile.TemporaryDirectory(prefix="hambatch-") as drawn:
        folder = Path(drawn)
        return decode([folder / name for name in write_sentinel_images(folder)], *how)


def compare_known_pictures(
    engine: Engine, precision: str, predict: Predict, images: Images
) -> dict[str, Any]:
    """Compare a plan's answers with the engine's record, which a CPU made.

    Returns
    -------
    dict
        ``images``, ``max_difference`` of a probability and its ``tolerance``; empty if the
        engine has no record.

    Raises
    ------
    EngineError
        If an answer is farther off.
    """
    spec = engine.manifest.sentinels
    recorded = spec.of(precision)
    if recorded is None or not recorded.pictures:
        return {}
    wanted = np.array([picture.probabilities for picture in recorded.pictures])
    logits = np.concatenate([predict(image[np.newaxis]) for image in images])
    difference = np.abs(softmax(logits) - wanted)
    largest, tolerance = float(difference.max()), recorded.tolerance_elsewhere
    if not largest <= tolerance:
        other = "" if precision == "fp32" else "hambatch build --precision fp32, or "
        raise EngineError(
            f"the plan is refused: on a known picture a probability is {largest:.1e} from the "
            f"record of {engine.manifest.name}, wanted {tolerance:.0e} at most.\n"
            f"Next: {other}hambatch engines verify {engine.manifest.name}"
        )
    return {"images": len(images), "max_difference": largest, "tolerance": tolerance}
