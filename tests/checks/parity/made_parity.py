"""Rows and paths to judge without a worker."""

from dataclasses import replace
from pathlib import Path

from hambatch.checks.parity.paths import ScoringPath, reference_path
from hambatch.engines.loading import Engine, load_engine
from hambatch.types import Row

NV = (0.01, 0.01, 0.01, 0.01, 0.15, 0.8, 0.01)
"""Probabilities of a nevus, with a melanoma next to it."""


def row(image: str = "a.jpg", moved: float = 0.0, **others: object) -> Row:
    """A scored row; ``moved`` goes from nv to mel."""
    p = list(NV)
    p[4], p[5] = round(p[4] + moved, 6), round(p[5] - moved, 6)
    made = Row(
        image,
        "ok",
        prediction="nv" if p[5] >= p[4] else "mel",
        probabilities=tuple(p),
        malignant=0.17,
        decoder="dali-cpu",
        backend="openvino-fp32",
        sha256="0" * 64,
    )
    return replace(made, **others)  # type: ignore[arg-type]


def failed(image: str) -> Row:
    return Row(image, "failed", sha256="0" * 64, reason="cannot be decoded: junk")


def path(folder: Path, backend: str, precision: str, decoder: str = "dali-cpu") -> ScoringPath:
    """A path that is taken, whatever this machine has."""
    name = f"{decoder}+{backend}-{precision}"
    engine: Engine = load_engine(folder)
    return replace(reference_path(engine), name=name, backend=backend, precision=precision)
