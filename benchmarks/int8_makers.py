"""Who makes which INT8 graph of :mod:`quantisers`, by its name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import nncf_graphs
import onnxruntime_graphs
from quantiser_task import Task

Done = Callable[[str], None]

Make = Callable[[Task, Mapping[str, Path], Done], None]


@dataclass(frozen=True)
class Maker:
    """One quantiser, and the names of the graphs that it makes of one pass over the images."""

    names: tuple[str, ...]
    make: Make


NNCF = {
    "nncf_same": nncf_graphs.Way("same"),
    "nncf_same_fix": nncf_graphs.Way("same", fix=True),
    "nncf_sums": nncf_graphs.Way("sums"),
    "nncf_sums_fix": nncf_graphs.Way("sums", fix=True),
    "nncf_all": nncf_graphs.Way("all"),
    "nncf_all_fix": nncf_graphs.Way("all", fix=True),
    "nncf_same_accurate": nncf_graphs.Way("same", fast=False),
    "nncf_same_accurate_fix": nncf_graphs.Way("same", fast=False, fix=True),
}
"""Accurate bias correction is last: it takes longest."""

ONNXRUNTIME = {
    "onnxruntime_same_reduced": onnxruntime_graphs.Way(),
    "onnxruntime_same": onnxruntime_graphs.Way(reduced=False),
    "onnxruntime_same_signed_reduced": onnxruntime_graphs.Way(signed=True),
    "onnxruntime_all": onnxruntime_graphs.Way("all", reduced=False),
    "onnxruntime_same_percentile": onnxruntime_graphs.Way(reduced=False, method="Percentile"),
}


def alone(
    make: Callable[[Task, Path], None], task: Task, paths: Mapping[str, Path], done: Done
) -> None:
    """Make the one graph of a quantiser that makes no more."""
    ((name, path),) = paths.items()
    make(task, path)
    done(name)


MAKERS = (
    Maker(tuple(NNCF), partial(nncf_graphs.quantise, NNCF)),
    *(
        Maker((name,), partial(alone, partial(onnxruntime_graphs.quantise, way)))
        for name, way in ONNXRUNTIME.items()
    ),
    Maker(("nncf_control",), partial(alone, nncf_graphs.control)),
)

NAMES = [name for maker in MAKERS for name in maker.names]
