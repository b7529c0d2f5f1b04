"""Compiling a graph for the CPU: once for all streams, or once a stream where that is not safe."""

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from hambatch import __version__
from hambatch.backends.openvino_graph import FORM, blaming_graph, read_graph
from hambatch.engines.backend_names import INT8, graph_precision, in_bfloat16
from hambatch.engines.loading import Engine
from hambatch.engines.precision import refuse_without_bfloat16
from hambatch.errors import BackendError
from hambatch.system.cache import (
    CacheRefused,
    keep_newest,
    key_of,
    private,
    read_private,
    user_cache,
    write_private,
)
from hambatch.system.cpu import instruction_set
from hambatch.system.files import outside_current_folder
from hambatch.system.packages import require

SUFFIX = ".blob"

KEPT = 4
"""Most compiled graphs in the folder, some 35 MB each; the one used longest ago goes first."""


def cache_folder(precision: str) -> Path | None:
    """Name the folder for compiled graphs of a precision; None if none is to be kept.

    OpenVINO prepares an INT8 graph for seconds. The FP32 graph, in BF16 too, compiles nearly as
    fast as what is compiled of it, twice as large as its file, is read back.
    """
    return user_cache("models") if _is_int8(precision) else None


def _is_int8(precision: str) -> bool:
    return graph_precision(precision) == INT8


@dataclass(frozen=True)
class How:
    """Streams, threads in each, and images a request."""

    streams: int
    threads_a_stream: int = 1
    request_size: int = 1


def compile_copies(
    engine: Engine, precision: str, how: How, model_cache: Path | None = None
) -> list[Any]:
    """Compile the graph: a list of ``openvino.CompiledModel``, one or one a stream.

    The FP32 graph is compiled once, with all its streams, in BF16 too. An INT8 graph is compiled
    into as many copies of one stream: with several streams in one, OpenVINO 2026.4 prepares their
    shared weights in threads that race, and on one machine *every* score of some starts
    was wrong. On others none was (``benchmarks/int8_streams.py`` and its result).

    Raises BackendError if the processor does not compute the precision.
    """
    refuse_without_bfloat16(precision)
    engine = replace(engine, folder=engine.folder.absolute())
    # Importing a graph, OpenVINO 2026.4 takes a file ".bin" there for the graph's weights.
    with outside_current_folder():
        return _compile_copies(engine, precision, how, model_cache)


def _compile_copies(
    engine: Engine, precision: str, how: How, model_cache: Path | None
) -> list[Any]:
    openvino = require("openvino", extra="", purpose="The openvino backend")
    core = openvino.Core()
    count = how.streams if _is_int8(precision) else 1
    properties = _properties(precision, how, count)

    def compile_graph() -> Any:
        graph = read_graph(engine, precision, how.request_size)
        with blaming_graph(engine.folder / engine.variant(graph_precision(precision)).file):
            return as_hinted(core.compile_model(graph, "CPU", properties), precision)

    def import_graph(blob: bytes) -> Any:
        return as_hinted(core.import_model(blob, "CPU", properties), precision)

    if model_cache:
        key = _key(openvino.get_version(), engine, precision, how, properties)
        first, blob = compiled_or_kept(model_cache, key, compile_graph, import_graph)
    elif count == 1:
        return [compile_graph()]
    else:
        first, blob = _exported(compile_graph)
    with ThreadPoolExecutor(count) as pool:
        return [first, *pool.map(import_graph, [blob] * (count - 1))]


def as_hinted(compiled: Any, precision: str) -> Any:
    """Give the compiled graph back; BackendError if OpenVINO set the hint aside, as it may."""
    found = compiled.get_property(HINT).get_type_name()
    if found != hint_of(precision):
        raise BackendError(
            f"OpenVINO computes {precision} in {found} here, wanted {hint_of(precision)}.\n"
            f"Next: another precision, such as {graph_precision(precision)}"
        )
    return compiled


HINT = "INFERENCE_PRECISION_HINT"


def hint_of(precision: str) -> str:
    """Name the numbers of all layers that are not INT8; some CPUs would take BF16 silently."""
    return "bf16" if in_bfloat16(precision) else "f32"


def _properties(precision: str, how: How, count: int) -> dict[str, Any]:
    streams = how.streams // count
    properties: dict[str, Any] = {
        HINT: hint_of(precision),
        "NUM_STREAMS": streams,
        "INFERENCE_NUM_THREADS": streams * how.threads_a_stream,
    }
    if count > 1:
        # Each copy would pin its thread to the same first core.
        properties["ENABLE_CPU_PINNING"] = False
    return properties


def _key(
    openvino: str, engine: Engine, precision: str, how: How, properties: dict[str, Any]
) -> str:
    """Hash everything that decides what is compiled, and whether it fits its manifest."""
    parts = {
        "graph": engine.graph_sha256(graph_precision(precision)),
        "input": asdict(engine.manifest.input),
        "classes": engine.manifest.classes,
        "request_size": how.request_size,
        "form": FORM,
        "properties": properties,
        "openvino": openvino,
        "hambatch": __version__,
        "instruction_set": instruction_set(),
    }
    return key_of(parts)


def compiled_or_kept(
    folder: Path, key: str, compile_graph: Callable[[], Any], import_graph: Callable[[bytes], Any]
) -> tuple[Any, bytes]:
    """Import what an earlier start compiled; else compile it, and keep it for the next.

    ``import_graph`` raises RuntimeError at what it cannot take. Returns the graph and its bytes.
    """
    name = key + SUFFIX
    try:
        with private(folder) as place:
            blob = _read(place, name)
            with suppress(RuntimeError):
                if blob is not None:
                    return import_graph(blob), blob
            compiled, blob = _exported(compile_graph)
            with suppress(OSError):
                write_private(place, name, _checksum_line(blob), blob)
                keep_newest(place, SUFFIX, KEPT)
            return compiled, blob
    except CacheRefused:
        return _exported(compile_graph)


def _exported(compile_graph: Callable[[], Any]) -> tuple[Any, bytes]:
    compiled = compile_graph()
    return compiled, compiled.export_model().read()


def _read(place: int, name: str) -> bytes | None:
    """Read a kept graph; None if there is none, or not all of it."""
    with suppress(CacheRefused):
        content = read_private(place, name)
        line, blob = content[:65], content[65:]
        if line == _checksum_line(blob):
            return blob
    return None


def _checksum_line(blob: bytes) -> bytes:
    return hashlib.sha256(blob).hexdigest().encode() + b"\n"
