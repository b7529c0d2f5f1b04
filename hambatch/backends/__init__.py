"""Backends: what executes an engine, the table of them, and the library behind each."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from hambatch.engines.backend_names import BACKEND_OF_GATES, INT8, graph_precision, parse_backend
from hambatch.system.packages import BINDINGS

if TYPE_CHECKING:
    from hambatch.engines.loading import Engine
    from hambatch.types import Batch, Scored

BACKENDS = {
    "openvino": "hambatch.backends.openvino_cpu",
    "tensorrt": "hambatch.backends.tensorrt.backend",
    "keras": "hambatch.backends.keras_reference",
}
"""Backend name to the module whose ``load`` makes one."""

MAPS = "openvino-maps"
"""The backend of `hambatch explain`: OpenVINO's FP32, with maps. No run is scored with it."""

PIXELS = "pixels"
"""The backend of the pictures of `hambatch evaluate`: it computes nothing."""

DISTRIBUTIONS = {"tensorrt": BINDINGS}
"""The packages that may have a library's version, where none has the library's name."""


class Backend(Protocol):
    """A loaded engine: it neither reads files nor knows about folders.

    Several requests are in flight; failures of a batch travel along with it.
    An image's scores depend on nothing but its own pixels.
    """

    name: str
    """The table's ``backend``, such as ``openvino-fp32``."""

    holds: int
    """Most batches that it takes before it yields the first of them."""

    note: str
    """What a user should know about how it runs here; mostly empty."""

    def predict(self, batches: Iterable[Batch]) -> Iterator[Scored]:
        """Yield every batch with its scores, in order; an empty batch stays empty."""

    def close(self) -> None:
        """Give back memory and threads."""


def load_backend(
    name: str,
    engine: Engine,
    precision: str,
    streams: int,
    model_cache: Path | None = None,
    gpu: int | None = None,
    double_check: float = 0.0,
) -> Backend:
    """Load an engine into the backend of that name, with so many single-threaded streams.

    Raises EngineError if the engine has no graph of that precision, or its graph does not match
    its manifest; BackendError if the runtime cannot execute it here.

    Parameters
    ----------
    model_cache
        A folder in which it may keep what it compiles.
    gpu
        The number of the GPU, of a backend that computes on one; None: the first.
    double_check
        Percentage of requests that are computed twice: :mod:`hambatch.backends.double_check`.
    """
    modules = {
        **BACKENDS,
        MAPS: "hambatch.backends.openvino_maps",
        PIXELS: "hambatch.backends.pixels",
    }
    module = importlib.import_module(modules[name])
    more: dict[str, Any] = {} if gpu is None else {"ordinal": gpu}
    if double_check:
        more["double_check"] = double_check
    backend: Backend = module.load(engine, precision, streams, model_cache=model_cache, **more)
    return backend


def runtime_of(backend: str) -> str:
    """Name library and version, and the form in which INT8 graphs run.

    Another version of a library may round otherwise. ``backend`` is as in the table, such as
    ``openvino-int8-bf16`` or ``tensorrt-fp16-b32``.
    """
    from hambatch.backends.openvino_graph import FORM

    library, precision, _ = parse_backend(backend)
    found = f"{library} {_version(library)}".strip() if library else ""
    rewritten = (library, graph_precision(precision)) == (BACKEND_OF_GATES, INT8)
    return f"{found}, {FORM}" if rewritten else found


def _version(library: str) -> str:
    """Give the version that is installed; empty if none is."""
    for name in DISTRIBUTIONS.get(library, (library,)):
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return ""
