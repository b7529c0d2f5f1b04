"""Which wrong answers of a machine do sentinels notice, and which does ``--double-check``?

A fault is put into OpenVINO's answers at a random request of a run, for one request, for 16, or
to the end; what counts is a fault that spoils at least one image. The first computation, the
second one and the sentinels are as in `hambatch score`; only the worker's process is left out::

    python benchmarks/wrong_answers.py --runs 40 --out result.json

Drift is tried on the sentinels of the default engine, too: from which size on is it seen?
Needs the checkout's tests and `pip install '.[test]'`.
"""

import random
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

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

Logits = np.ndarray
Spoil = Callable[[Logits, Logits], None]
"""Changes the logits of a request in place, given those that were there before it."""


def two_swapped(logits: Logits, before: Logits) -> None:
    """Give two images of a request each other's answers."""
    logits[[0, 2]] = logits[[2, 0]]


def zeroed(logits: Logits, before: Logits) -> None:
    """Give no answer at all."""
    logits[:] = 0


def stale(logits: Logits, before: Logits) -> None:
    """Leave the answers of the request before, or the one beside."""
    logits[:] = before


def one_zeroed(logits: Logits, before: Logits) -> None:
    """Give no answer for one image."""
    logits[1] = 0


def all_the_same(logits: Logits, before: Logits) -> None:
    """Give every image of a request the answer of the first."""
    logits[:] = logits[0]


def drift(share: float) -> Spoil:
    """Make every logit larger."""

    def spoil(logits: Logits, before: Logits) -> None:
        logits *= 1 + share

    return spoil


DRIFTS = {"0.02 %": 0.0002, "0.1 %": 0.001, "1 %": 0.01}

FAULTS: dict[str, Spoil] = {
    "two images of a request swapped": two_swapped,
    "one image of a request zeroed": one_zeroed,
    "a request zeroed": zeroed,
    "a request stale": stale,
    "a request with the answer of its first image": all_the_same,
    **{f"drift of {name}": drift(share) for name, share in DRIFTS.items()},
}

TWO_REQUESTS = "two requests swapped"
"""The one that comes first waits for the other."""

LASTING = {"1 request": 1, "16 requests": 16, "to the end": 10**9}

SETTINGS = {"sentinels": 0.0, "1": 1.0, "10": 10.0, "all": 100.0}


class Faulty(OpenVinoBackend):
    """Answers wrongly from one request on, for some requests; both times are counted.

    ``harm``: whether an image's first computation was spoilt.
    """

    def arm(self, spoil: Spoil | None, begin: int, end: int) -> None:
        """Start counting anew; without ``spoil``, requests are swapped in pairs."""
        self.spoil, self.begin, self.end, self.harm = spoil, begin, end, False
        self.numbers, self.before = count(), np.zeros((REQUEST_SIZE, 7), np.float32)
        self.lock, self.held = threading.Lock(), deque[tuple[dict[str, Logits], Any]]()

    def _keep(self, request: Any, sent: Any) -> None:
        outputs = {name: request.get_tensor(name).data.copy() for name in ("logits", "features")}
        for answer in self._answers(outputs, sent):
            super()._keep(*answer)

    def _answers(self, outputs: dict[str, Logits], sent: Any) -> list[tuple[Any, Any]]:
        right = outputs["logits"].copy()
        with self.lock:
            number = next(self.numbers)
            if self.begin <= number < self.end:
                if self.spoil:
                    self.spoil(outputs["logits"], self.before)
                elif not self.held:
                    self.held.append((outputs, sent))
                    return []
                else:
                    other, other_sent = self.held.pop()
                    self._note(other_sent, right != other["logits"])
                    self._note(sent, right != other["logits"])
                    return [(_Answered(other), sent), (_Answered(outputs), other_sent)]
                self._note(sent, outputs["logits"] != right)
            self.before = right
        return [(_Answered(outputs), sent)]

    def _note(self, sent: Any, differs: Logits) -> None:
        if sent.before is None:
            self.harm |= any(self._spoilt(part, differs) for part in sent.parts)

    @staticmethod
    def _spoilt(part: Any, differs: Logits) -> bool:
        there = slice(part.first, part.first + len(part.images))
        is_image = part.pending.batch.indices[there] >= 0
        return bool(differs[part.place : part.place + len(part.images)][is_image].any())


class _Answered:
    def __init__(self, outputs: dict[str, Logits]) -> None:
        self._outputs = outputs

    def get_tensor(self, name: str) -> Any:
        """Give what has the data."""
        return type("Tensor", (), {"data": self._outputs[name]})


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
            yield Answer(batch.indices, scored.logits, *names, twice=scored.twice)

    def _decoded(self, items: Sequence[Item]) -> Batch:
        images = np.stack([self._pixels[item.path] for item in items])
        indices = np.array([item.index for item in items], np.int64)
        return Batch(indices, images, ["dali-cpu"] * len(items), ["0" * 64] * len(items))


def main() -> None:
    """Measure, print and write."""
    parser = parser_of(__doc__)
    parser.add_argument("--runs", type=int, default=40, help="of each kind, with harm done")
    parser.add_argument("--images", type=int, default=300, help="images of a run")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    chance = random.Random(chosen.seed)  # noqa: S311
    with tempfile.TemporaryDirectory() as place:
        seen = measure(Path(place), chosen.images, chosen.runs, chance)
    found = {"share_noticed": seen, "drift_that_sentinels_notice_from": drift_seen()}
    about = {key: getattr(chosen, key) for key in ("runs", "images", "seed")}
    question = "which wrong answers do sentinels and --double-check notice?"
    publish(chosen.out, {"question": question, **about, "streams": STREAMS, **found}, found)


def measure(
    place: Path, images: int, runs: int, chance: random.Random
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
    for fault, spoil in {**FAULTS, TWO_REQUESTS: None}.items():
        for lasting, requests in LASTING.items():
            shares = found.setdefault(fault, {}).setdefault(lasting, {})
            for setting, percent in SETTINGS.items():
                run = Run(engine, copies, pixels, place, names, percent)
                stopped = [run.stops(spoil, requests, chance) for _ in range(runs)]
                shares[setting] = round(sum(stopped) / runs, 3)
            print(fault, lasting, shares, file=sys.stderr, flush=True)
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

    def stops(self, spoil: Spoil | None, lasting: int, chance: random.Random) -> bool:
        """Whether a run stops that has a fault in an image's scores."""
        # All images, a sentinel in each batch, four at the start and one a slot at the end.
        once = (len(self._names) + len(self._names) // BATCH_SIZE + BATCH_SIZE + 4) / REQUEST_SIZE
        requests = int(once * (1 + self._percent / 100))
        while True:
            backend = Faulty("openvino-fp32", self._copies, STREAMS, double_check=self._percent)
            begin = chance.randrange(requests - 8)
            # Pairs, and not to the last one: nothing might come to swap it with.
            pairs = max(2, min(lasting, requests - 8 - begin) // 2 * 2)
            backend.arm(spoil, begin, begin + (lasting if spoil else pairs))
            noticed = self._noticed(backend)
            backend.close()
            if backend.harm:
                return noticed

    def _noticed(self, backend: Faulty) -> bool:
        worker: Any = InThisProcess(backend, self._pixels)
        with SentinelWatch(self._engine, BATCH_SIZE, backend=backend.name) as watch:
            images = enumerate(Entry(encode_name(name)) for name in self._names)
            sources = folder_of_images(self._root)
            try:
                for _ in rows_of(worker, images, sources, self._engine.manifest, watch):
                    pass
            except (SentinelError, DoubleCheckError):
                return True
        return False


def drift_seen() -> dict[str, dict[str, float]]:
    """From which drift of the logits on the default engine's sentinels notice it.

    ``later``: it begins during the run; ``from the start``: it is there all the time. The first
    of two numbers is what the most sensitive of the sentinels notices, in percent.
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
            when: _least(spec, backend.name, logits, from_start=when != "later")
            for when in ("later", "from the start")
        }
    return found


def _least(spec: Sentinels, backend: str, logits: Logits, *, from_start: bool) -> float:
    """The smallest drift, in percent, that one of the sentinels notices; in steps of 2 %."""
    share = 1e-6
    while share < 1:
        reference = Reference(spec, backend)
        for k, values in enumerate(logits):
            drifted = values * (1 + share)
            if not from_start:
                reference.miss(k, softmax(values[None])[0], values, "dali-cpu")
            if reference.miss(k, softmax(drifted[None])[0], drifted, "dali-cpu"):
                return float(f"{100 * share:.2g}")
        share *= 1.02
    return float("inf")


if __name__ == "__main__":
    main()
