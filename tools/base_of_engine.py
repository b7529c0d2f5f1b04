"""Take the base out of a trained engine: weights that `hambatch train --weights` starts from.

    python tools/base_of_engine.py ENGINE_DIR base.weights.h5

A second training can go on where the first one ended, with other images or other views; its head
is new. The engine's folder has to have the `model.weights.h5` that a training leaves. Its images
were seen by what starts from these weights: name the same sources again, so that the new engine
lists them.
"""

import argparse
from pathlib import Path

from hambatch.backends.keras_network import build_base, build_head, join
from hambatch.engines.loading import load_engine


def main() -> None:
    """Load the network and save its base."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("engine", type=Path)
    parser.add_argument("out", type=Path)
    chosen = parser.parse_args()
    manifest = load_engine(chosen.engine).manifest
    training = manifest.training
    stride_in = training.get("stride_in", "1x1")
    base = build_base(None, side=manifest.input.height, stride_in=stride_in)
    network = join(base, build_head(training["hidden_units"], training["dropout"], 0))
    network.load_weights(chosen.engine / "model.weights.h5")
    base.save_weights(chosen.out)


if __name__ == "__main__":
    main()
