"""What ``--double-check`` found: counted for the record, and an error where two scores differ."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hambatch.engines.loading import engine_word
from hambatch.engines.manifest import Manifest
from hambatch.errors import DoubleCheckError
from hambatch.scoring.worker.protocol import Answer
from hambatch.system.text import encode_name, plural
from hambatch.types import Difference, DoubleChecked

NAMED = 3
"""Images that differ, by name in the message."""


def summary(percent: float, found: DoubleChecked) -> dict[str, Any]:
    """Give the record's ``double_check``: a run with a difference leaves no record."""
    return {
        "percent": percent,
        "requests": found.requests,
        "images": found.images,
        "differences": len(found.differing),
    }


def refuse_different(
    answer: Answer,
    names: Mapping[int, str],
    manifest: Manifest,
    engine: Path,
    suspect: Sequence[int],
) -> None:
    """Raise DoubleCheckError, with images, requests and values, if two scores differ.

    Which of the two is right is not known, so neither is used.
    """
    differing = answer.twice.differing
    if not differing:
        return
    shown = "; ".join(_described(found, answer, names, manifest) for found in differing[:NAMED])
    word = shlex.quote(engine_word(engine))
    more = f"; and {len(differing) - NAMED} more" if len(differing) > NAMED else ""
    raise DoubleCheckError(
        f"{plural(len(differing), 'image')} of a batch got other scores the second time: {shown}"
        f"{more}. The machine or its software computes wrongly; which of the two scores is right "
        f"is not known. {len(suspect)} rows are suspect.\n"
        f"Next: hambatch engines verify {word}, a test of this machine's memory, and the "
        "same command again; with --overwrite it scores the rows that are kept once more, too",
        list(suspect),
    )


def _described(
    found: Difference, answer: Answer, names: Mapping[int, str], manifest: Manifest
) -> str:
    index = int(answer.indices[found.slot])
    name = "a sentinel" if index < 0 else encode_name(names[index])
    first, second = (np.array(values) for values in (found.first, found.second))
    with np.errstate(invalid="ignore"):
        apart = np.abs(first - second)
    # NaN counts as farthest.
    k = int(np.where(np.isnan(apart), np.inf, apart).argmax())
    label = manifest.classes[k]
    return f"{name} logit_{label} {first[k]:.6g}, then {second[k]:.6g} ({found.where})"
