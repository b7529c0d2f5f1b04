"""INT8 graphs of one engine in a folder: made once, scored once by kernel, timed in turns.

An interrupted benchmark starts again where it was: a graph counts as made once its
``made.json`` is written, and logits as scored once their file has its name.
"""

import json
import shutil
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import openvino

from hambatch.backends.openvino_compile import HINT, hint_of
from hambatch.backends.openvino_cpu import REQUEST_SIZE, OpenVinoBackend, load
from hambatch.engines.backend_names import FP32, INT8
from hambatch.engines.loading import Engine, load_engine, write_manifest
from hambatch.engines.manifest import Variant
from hambatch.engines.sentinels import Sentinels
from hambatch.system.cpu import available_cores, int8_kernels
from hambatch.system.files import sha256_of_file
from hambatch.training.export.int8.export import INT8_NAME
from hambatch.types import Batch

BATCH = 32

MADE = "made.json"

OPENVINO_NAME = "model.int8.xml"
"""Of a graph in OpenVINO's format, with its weights beside it; others are ONNX."""

REFERENCE, OWN = "fp32", "hambatch"
"""Names of the engine's own graphs."""

Progress = Callable[[str], None]

Write = Callable[[Mapping[str, Path], Callable[[str], None]], None]
"""Writes graphs to the paths, and calls back with the name of each that is written."""


class Graphs:
    """The engine's own graphs and those that were made of its FP32 graph, by name."""

    def __init__(self, engine: Engine, folder: Path, settings: Mapping[str, Any]) -> None:
        self.engine, self.folder = engine, folder
        folder.mkdir(parents=True, exist_ok=True)
        kept = folder / "settings.json"
        if not kept.exists():
            kept.write_text(json.dumps(settings))
        if json.loads(kept.read_text()) != settings:
            raise SystemExit(f"{folder} was made with {kept.read_text()}, wanted {settings}")

    def loaded(self, name: str) -> OpenVinoBackend:
        """Compile a graph as scoring does: a single-threaded stream a core."""
        own = self.folder / name / OPENVINO_NAME
        if own.exists():
            return load_own(own)
        engine = self.engine if name in {REFERENCE, OWN} else load_engine(self.folder / name)
        return load(engine, FP32 if name == REFERENCE else INT8, available_cores())

    def sha256(self, name: str) -> str:
        """Hash what a graph computes with."""
        if name in {REFERENCE, OWN}:
            return self.engine.graph_sha256(FP32 if name == REFERENCE else INT8)
        weights = self.folder / name / Path(OPENVINO_NAME).with_suffix(".bin")
        return sha256_of_file(weights if weights.exists() else self.folder / name / INT8_NAME)

    def is_made(self, name: str) -> bool:
        """Tell whether a graph is there."""
        return name in {REFERENCE, OWN} or (self.folder / name / MADE).exists()

    def make(self, names: Iterable[str], write: Write, report: Progress) -> None:
        """Have those graphs written that are not there, each complete as soon as it is."""
        missing = {name: self.folder / name / INT8_NAME for name in names if not self.is_made(name)}
        if not missing:
            return
        for path in missing.values():
            path.parent.mkdir(exist_ok=True)
        start = time.perf_counter()

        def done(name: str) -> None:
            place = self.folder / name
            if not (place / OPENVINO_NAME).exists():
                self._add_engine(place)
            seconds = round(time.perf_counter() - start, 1)
            (place / MADE).write_text(json.dumps({"seconds": seconds}))
            report(f"{name}: made after {seconds} s")

        write(missing, done)

    def _add_engine(self, place: Path) -> None:
        """Make an engine of a folder with an INT8 graph, for the backend to load."""
        fp32 = self.engine.variant(FP32)
        shutil.copy(self.engine.folder / fp32.file, place / fp32.file)
        variants = replace(fp32), Variant(INT8, INT8_NAME)
        rest = {"files": {}, "sentinels": Sentinels(), "other_images": None}
        write_manifest(place, replace(self.engine.manifest, variants=variants, **rest))

    def logits(self, name: str, part: str, images: np.ndarray, report: Progress) -> np.ndarray:
        """Score a part as `hambatch score` does, unless this kernel did already: ``[n, 7]``."""
        kept = self._logits_file(name, part)
        if not kept.exists():
            kept.parent.mkdir(exist_ok=True)
            start = time.perf_counter()
            with closing(self.loaded(name)) as backend:
                found = scored(backend, images)
            partial = kept.with_suffix(".part.npy")
            np.save(partial, found)
            partial.replace(kept)
            seconds = time.perf_counter() - start
            report(f"{name}: {len(images)} images of {part} scored in {seconds:.0f} s")
        return np.load(kept)

    def is_scored(self, name: str, part: str) -> bool:
        """Tell whether this kernel has scored a part with a graph."""
        return self._logits_file(name, part).exists()

    def _logits_file(self, name: str, part: str) -> Path:
        return self.folder / name / f"{part}_{kernel()}.npy"

    def rates(
        self, names: list[str], images: np.ndarray, turns: int, report: Progress
    ) -> dict[str, list[float]]:
        """Measure images a second in turns: each scores all images once with every graph.

        The graph that starts is another one in every turn. One pass of each is a warm-up.
        """
        found: dict[str, list[float]] = {name: [] for name in names}
        with ExitStack() as stack:
            backends = {name: stack.enter_context(closing(self.loaded(name))) for name in names}
            for backend in backends.values():
                scored(backend, images)
            for turn in range(turns):
                first = turn % len(names)
                for name in names[first:] + names[:first]:
                    start = time.perf_counter()
                    scored(backends[name], images)
                    found[name].append(len(images) / (time.perf_counter() - start))
                report(f"turn {turn + 1} of {turns}")
        return found


def kernel() -> str:
    """Name the extension that multiplies INT8 here, such as ``avx2``."""
    return int8_kernels().split()[-1]


def load_own(path: Path) -> OpenVinoBackend:
    """Compile a graph in OpenVINO's format as the backend compiles an INT8 graph: one a stream."""
    core, streams = openvino.Core(), available_cores()
    model = core.read_model(path)
    model.reshape([REQUEST_SIZE, *list(model.inputs[0].partial_shape)[1:]])
    properties: dict[str, Any] = {
        HINT: hint_of(INT8),
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": 1,
        "ENABLE_CPU_PINNING": False,
    }
    first = core.compile_model(model, "CPU", properties)
    blob = first.export_model().read()
    others = [core.import_model(blob, "CPU", properties) for _ in range(streams - 1)]
    return OpenVinoBackend("openvino-int8", [first, *others], streams)


def scored(backend: OpenVinoBackend, images: np.ndarray) -> np.ndarray:
    """Score all images: logits ``[n, 7]``."""
    return np.concatenate([part.logits for part in backend.predict(batches(images))])


def batches(images: np.ndarray) -> Iterator[Batch]:
    """Cut the images into batches as scoring gets them."""
    for start in range(0, len(images), BATCH):
        part = images[start : start + BATCH]
        indices = np.arange(start, start + len(part))
        yield Batch(indices, part, ["dali-cpu"] * len(part), [""] * len(part))


def speeds(rates: Mapping[str, list[float]], own: str) -> dict[str, dict[str, Any]]:
    """Give each graph's median rate, and its ratio to ``own`` in the same turn: median, range."""
    found = {}
    for name, each in rates.items():
        ratios = [one / base for one, base in zip(each, rates[own], strict=True)]
        found[name] = {
            "images_per_s": round(statistics.median(each), 2),
            "ratio": round(statistics.median(ratios), 3),
            "ratio_range": [round(min(ratios), 3), round(max(ratios), 3)],
            "turns": [round(one, 2) for one in each],
        }
    return found
