"""Which wrong answers of a machine do sentinels notice, and which does ``--double-check``?

A fault is put into OpenVINO's answers at a random request of a run, for one request, for 16, or
to the end; what counts is a fault that spoils at least one image. The first computation, the
second one and the sentinels are as in `hambatch score`; only the worker's process is left out::

    python benchmarks/wrong_answers.py --runs 40 --images 50 150 500 --out result.json

Requests are tried from the first to the last of a run, at even distances. ``--against CHECKOUT``
does the same with an older hambatch. Drift is tried on the sentinels of the default engine, too:
from which size on is it seen? Needs the checkout's tests and `pip install '.[test]'`.
"""

import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, os.environ.get("HAMBATCH_CHECKOUT", str(Path(__file__).resolve().parent.parent)))

from faulty_backend import FAULTS, HAS_PLACES, LASTING, ONE_ROW, TWO_REQUESTS, Faulty, Logits, Spoil
from result import parser_of, publish

from hambatch.backends.openvino_compile import How, compile_copies
from hambatch.backends.openvino_cpu import REQUEST_SIZE, OpenVinoBackend, load
from hambatch.engines.loading import Engine, find_engine, load_engine
from hambatch.engines.options import DEFAULT_ENGINE
from hambatch.engines.probabilities import softmax
from hambatch.engines.sentinels import Sentinels
from hambatch.errors import DoubleCheckError, SentinelError
from hambatch.pipelines.decode import decode
from hambatch.scoring.rows import rows_of
from hambatch.scoring.sentinels.recording import record_sentinels
from hambatch.scoring.sentinels.reference import Reference
from hambatch.scoring.sentinels.watch import SentinelWatch
from hambatch.scoring.worker.protocol import Answer, Ready
from hambatch.sources.entry import Entry
from hambatch.sources.reading import Item
from hambatch.sources.source import folder_of_images
from hambatch.system.text import encode_name
from hambatch.types import Batch
from tests.conftest import jpeg_bytes
from tests.faults.soft_engine import write_soft_engine

BATCH_SIZE, STREAMS = 64, 2

CHECKOUT = "HAMBATCH_CHECKOUT"
"""The environment variable that names another checkout to measure."""

SETTINGS = {"sentinels": 0.0, "1": 1.0, "10": 10.0, "all": 100.0}


class InThisProcess:
    """Stands in for a worker: decoded images instead of files, the same backend."""

    started, hurried = 1, False

    def __init__(self, backend: OpenVinoBackend, pixels: dict[Path, Logits]) -> None:
        self._backend, self._pixels = backend, pixels

    def wait_ready(self) -> Ready:
        """Name the backend."""
        return Ready(self._backend.name, "dali-cpu", 1)

    def answers(self, batches: Iterable[Sequence[Item]]) -> Iterator[Answer]:
        """Score batches as a worker does."""
        for scored in self._backend.predict(self._decoded(items) for items in batches):
            batch = scored.batch
            names = list(batch.decoders), list(batch.sha256), list(batch.failures)
            more = {"places": scored.places} if HAS_PLACES else {}
            yield Answer(batch.indices, scored.logits, *names, twice=scored.twice, **more)

    def _decoded(self, items: Sequence[Item]) -> Batch:
        images = np.stack([self._pixels[item.path] for item in items])
        indices = np.array([item.index for item in items], np.int64)
        return Batch(indices, images, ["dali-cpu"] * len(items), ["0" * 64] * len(items))


def main() -> None:
    """Measure, print and write."""
    parser = parser_of(__doc__)
    parser.add_argument("--runs", type=int, default=40, help="of each kind")
    parser.add_argument("--images", type=int, nargs="+", default=[150], help="images of a run")
    parser.add_argument("--settings", nargs="+", default=list(SETTINGS), choices=SETTINGS)
    parser.add_argument("--against", type=Path, help="an older checkout, measured as well")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    chance, found = random.Random(chosen.seed), {}  # noqa: S311
    if chosen.against:
        found["share_noticed_before"] = before(chosen.against.resolve(), sys.argv[1:])
    settings = {name: SETTINGS[name] for name in chosen.settings}
    with tempfile.TemporaryDirectory() as place:
        found["share_noticed"] = {
            str(images): measure(Path(place) / str(images), images, chosen.runs, chance, settings)
            for images in chosen.images
        }
    if HAS_PLACES:
        found["drift_that_sentinels_notice_from"] = drift_seen()
    about = {key: getattr(chosen, key) for key in ("runs", "images", "seed")}
    question = "which wrong answers do sentinels and --double-check notice?"
    publish(chosen.out, {"question": question, **about, "streams": STREAMS, **found}, found)


def before(checkout: Path, arguments: Sequence[str]) -> dict[str, Any]:
    """Measure the same with another checkout, in a process of its own."""
    with tempfile.TemporaryDirectory() as place:
        out = Path(place) / "before.json"
        line = [sys.executable, __file__, *_without_against(arguments), "--out", str(out)]
        environment = {**os.environ, CHECKOUT: str(checkout)}
        subprocess.run(line, check=True, env=environment, stdout=subprocess.DEVNULL)
        found: dict[str, Any] = json.loads(out.read_text())["share_noticed"]
        return found


def _without_against(arguments: Sequence[str]) -> list[str]:
    at = arguments.index("--against")
    return [*arguments[:at], *arguments[at + 2 :]]


def measure(
    place: Path, images: int, runs: int, chance: random.Random, settings: dict[str, float]
) -> dict[str, dict[str, dict[str, float]]]:
    """Share of the harmed runs that stopped: by fault, by how long it lasts, by setting."""
    folder = write_soft_engine(place / "soft")
    record_sentinels(folder)
    engine = load_engine(folder)
    names = [f"{k:04d}.jpg" for k in range(images)]
    for k, name in enumerate(names):
        (place / name).write_bytes(jpeg_bytes(k))
    known = [folder / sentinel.file for sentinel in engine.manifest.sentinels.pictures]
    paths = [*(place / name for name in names), *known]
    how = engine.manifest.input, engine.manifest.preprocessing
    pixels = dict(zip(paths, decode(paths, *how), strict=True))
    copies = compile_copies(engine, "fp32", How(STREAMS, request_size=REQUEST_SIZE))
    found: dict[str, dict[str, dict[str, float]]] = {}
    ready = {
        setting: Run(engine, copies, pixels, place, names, percent)
        for setting, percent in settings.items()
    }
    for fault, spoil in {**FAULTS, TWO_REQUESTS: None, ONE_ROW: None}.items():
        for lasting, requests in LASTING.items():
            if fault == ONE_ROW and requests == 1:
                continue
            shares = found.setdefault(fault, {}).setdefault(lasting, {})
            for setting, run in ready.items():
                in_place = chance if fault == ONE_ROW else None
                stopped = run.stops(spoil, requests, runs, chance, in_place)
                shares[setting] = round(sum(stopped) / len(stopped), 3)
            print(images, fault, lasting, shares, file=sys.stderr, flush=True)
    return found


class Run:
    """Runs of one setting, over and over."""

    def __init__(
        self,
        engine: Engine,
        copies: Sequence[Any],
        pixels: dict[Path, Logits],
        root: Path,
        names: list[str],
        percent: float,
    ) -> None:
        self._engine, self._copies, self._pixels = engine, copies, pixels
        self._root, self._names, self._percent = root, names, percent
        self._kept: Any = None
        # Nothing is wrong with the first one, which leaves its answers where runs do so.
        self._requests, *_ = self._once(None, 0, 0, None)

    def stops(
        self,
        spoil: Spoil | None,
        lasting: int,
        runs: int,
        chance: random.Random,
        in_place: random.Random | None,
    ) -> list[bool]:
        """For so many runs that have a fault in an image's scores, whether they stop.

        The fault begins at requests that are evenly spread over the run.
        """
        found: list[bool] = []
        while len(found) < runs:
            left = runs - len(found)
            for k in range(left):
                begin = int((k + chance.random()) * self._requests / left)
                place = None
                if in_place:
                    place = in_place.randrange(2 * STREAMS), in_place.randrange(REQUEST_SIZE)
                end = begin + (lasting if spoil or place else max(2, lasting // 2 * 2))
                _, harm, noticed = self._once(spoil, begin, end, place)
                found += [noticed] if harm else []
        return found

    def _once(
        self, spoil: Spoil | None, begin: int, end: int, place: tuple[int, int] | None
    ) -> tuple[int, bool, bool]:
        """Requests of a run, whether an image's scores were spoilt, and whether it stopped."""
        backend = Faulty("openvino-fp32", self._copies, STREAMS, double_check=self._percent)
        backend.arm(spoil, begin, end, place)
        noticed = self._noticed(backend)
        backend.close()
        return backend.count, backend.harm, noticed

    def _noticed(self, backend: Faulty) -> bool:
        worker: Any = InThisProcess(backend, self._pixels)
        with self._watch(backend.name) as watch:
            images = enumerate(Entry(encode_name(name)) for name in self._names)
            sources = folder_of_images(self._root)
            try:
                for _ in rows_of(worker, images, sources, self._engine.manifest, watch):
                    pass
            except (SentinelError, DoubleCheckError):
                return True
        return False

    def _watch(self, backend: str) -> SentinelWatch:
        if not HAS_PLACES:
            return SentinelWatch(self._engine, BATCH_SIZE, backend=backend)
        from hambatch.backends.placing import Grid
        from hambatch.scoring.sentinels.own_answers import OwnAnswers

        own = OwnAnswers()
        if self._kept is None:
            self._kept = own
        else:
            own.kept = self._kept.kept
        grid = Grid(2 * STREAMS, REQUEST_SIZE)
        return SentinelWatch(self._engine, BATCH_SIZE, backend=backend, grid=grid, own=own)


def drift_seen() -> dict[str, dict[str, float]]:
    """From which drift of the logits on the default engine's sentinels notice it.

    ``later``: it begins during the run; ``from the start``: it is there all the time, and was not
    in earlier runs; ``ever``: it was there in the first run on this machine. The first of two
    numbers is what the most sensitive of the sentinels notices, in percent.
    """
    engine, found = load_engine(find_engine(DEFAULT_ENGINE)), {}
    spec, how = engine.manifest.sentinels, (engine.manifest.input, engine.manifest.preprocessing)
    pixels = decode([engine.folder / one.file for one in spec.pictures], *how)
    for precision in ("fp32", "int8"):
        backend = load(engine, precision, 1)
        n = len(pixels)
        batch = Batch(np.arange(n), pixels, ["dali-cpu"] * n, [""] * n)
        (scored,) = backend.predict([batch])
        logits = scored.logits.astype(np.float64)
        backend.close()
        found[precision] = {
            when: _least(spec, backend.name, logits, when)
            for when in ("later", "from the start", "ever")
        }
    return found


def _least(spec: Sentinels, backend: str, logits: Logits, when: str) -> float:
    """The smallest drift, in percent, that one of the sentinels notices; in steps of 2 %."""
    share = 1e-6
    right = {k: (softmax(values[None])[0], values) for k, values in enumerate(logits)}
    while share < 1:
        reference = Reference(spec, backend, right if when == "from the start" else None)
        for k, values in enumerate(logits):
            drifted = values * (1 + share)
            if when == "later":
                reference.miss(k, *right[k], "dali-cpu")
            if reference.miss(k, softmax(drifted[None])[0], drifted, "dali-cpu"):
                return float(f"{100 * share:.2g}")
        share *= 1.02
    return float("inf")


if __name__ == "__main__":
    main()
