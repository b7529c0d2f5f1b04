"""`model.weights.h5` of an engine: arrays only, nothing that executes on load."""

import os
from pathlib import Path
from typing import Any

from hambatch.atomic import replacing
from hambatch.errors import EngineError
from hambatch.training.network import SIDE, build_base, build_head, join

WEIGHTS_NAME = "model.weights.h5"
SUFFIX = ".weights.h5"
PURPOSE = "reading an engine's Keras weights"


def save_network(network: Any, path: Path) -> None:
    """Write the weights so that ``path`` (``*.weights.h5``) is never half-written."""
    with replacing(path) as temporary:
        # Keras refuses any other suffix, of the temporary file too.
        staged = temporary.with_name(temporary.name + SUFFIX)
        try:
            network.save_weights(staged)
            os.replace(staged, temporary)
        finally:
            staged.unlink(missing_ok=True)


def load_network(path: Path, hidden_units: int, dropout: float, side: int = SIDE) -> Any:
    """Build the network and read its weights.

    Parameters
    ----------
    path
        An engine's folder, or a ``.weights.h5`` file.
    hidden_units, dropout
        Of the head, as in ``training`` of ``engine.json``.
    side
        Of the images, in pixels: ``height`` of ``input`` there.

    Raises
    ------
    EngineError
        If the file is missing, damaged, or of another network.
    """
    weights = path / WEIGHTS_NAME if path.is_dir() else path
    if not weights.is_file():
        raise EngineError(
            f"{weights} is missing: Keras weights are written by training and not shipped.\n"
            "Next: hambatch train --data split.csv --out engines/NAME"
        )
    base = build_base(None, PURPOSE, side)
    network = join(base, build_head(hidden_units, dropout, seed=0, purpose=PURPOSE))
    try:
        network.load_weights(weights)
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise EngineError(
            f"{weights} does not hold the weights of ResNet50 with a head of {hidden_units} "
            f"hidden units: {reason}.\n"
            "Next: hambatch train --data split.csv --out engines/NAME"
        ) from error
    return network
