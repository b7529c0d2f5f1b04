"""What `hambatch engines tune` would keep of an engine, without measuring."""

from hambatch.engines.manifest import Manifest
from hambatch.engines.precision import cheaper_here
from hambatch.engines.tuned import Measured, Tuning, keep_tuning, new_tuning, tuning_folder

DAY = "2026-03-01"

FP32_RATE = 65.0

RATES = {"int8-bf16": 189.0, "bf16": 136.0, "int8": 134.0}


def tuning_of(
    manifest: Manifest,
    flips: int = 3,
    drift: float = 0.03,
    rates: dict[str, float] | None = None,
) -> Tuning:
    """A measurement of 600 images: 12 labels may change, of BF16 3; drift 0.1, of BF16 0.05."""
    rates = RATES | (rates or {})
    found = tuple(
        Measured(name, flips, drift, 2 * drift, rates[name]) for name in cheaper_here(manifest)
    )
    return new_tuning(manifest, 600, FP32_RATE, found, DAY)


def keep(manifest: Manifest, tuning: Tuning) -> None:
    """Keep it in the user's cache, which a test has made its own."""
    with tuning_folder() as place:
        keep_tuning(place, manifest, tuning)
