"""torchvision beside a CPU build of torch, for which the index has no torchvision wheel.

Its compiled operators (boxes, ROI) do not load there; ResNet50 and its transforms need
none. But torchvision describes two of them when it is imported, so they have to have names.
"""

import importlib.util
from functools import cache
from pathlib import Path
from typing import Any

HIDDEN = 512
CLASSES = 7

NAMED = ("nms", "qnms")

_kept: list[Any] = []
"""Names go when the library that holds them is collected."""


@cache
def torchvision() -> Any:
    """Import it."""
    import torch

    if not operators_load():
        library = torch.library.Library("torchvision", "DEF")
        for name in NAMED:
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _kept.append(library)
    import torchvision as module

    return module


@cache
def operators_load() -> bool:
    """Whether its compiled part fits this torch."""
    import torch

    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None:
        raise SystemExit("no torchvision here\nNext: see benchmarks/requirements-peers.txt")
    try:
        for path in Path(spec.origin).parent.glob("_C*.so"):
            torch.ops.load_library(path)
    except OSError:
        return False
    return True


def resnet50() -> Any:
    """ResNet50 with hambatch's head, untrained: weights cost no time."""
    from torch import nn

    network = torchvision().models.resnet50(weights=None)
    network.fc = nn.Sequential(
        nn.Linear(network.fc.in_features, HIDDEN),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(HIDDEN, CLASSES),
    )
    return network.eval()
