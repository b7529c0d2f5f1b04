"""The worker process: source -> pipeline -> backend; no decoder runs elsewhere.

Started by :mod:`hambatch.scoring.worker.spawned`. A job and then batches of items come in through
a pipe, answers go out in the same order; the first message says that the backend
is loaded, or why it cannot be.
"""

import os
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, TypeVar

from hambatch.backends.test_time_augmentation import with_views
from hambatch.engines.backend_names import BACKEND_OF_GATES
from hambatch.errors import HambatchError, Shortage
from hambatch.scoring.worker.protocol import (
    Answer,
    Finished,
    Hurry,
    Job,
    NoMemory,
    Parent,
    Ready,
    Refused,
    StageTimes,
    Touched,
    grid_of,
)
from hambatch.sources.reading import BATCHES_AHEAD, Fetched, Item, read_ahead
from hambatch.system.packages import import_early
from hambatch.system.shortages import (
    has_plenty,
    is_of_memory,
    is_of_the_machine,
    lacks_memory,
    refuse_without_room,
    shortage_at,
)
from hambatch.types import Batch, Scored, on_host

if TYPE_CHECKING:
    from hambatch.backends import Backend
    from hambatch.engines.manifest import Manifest
    from hambatch.pipelines.scoring import ScoringPipeline
    from hambatch.risk.checking import Checker

T = TypeVar("T")

DECODING = ("nvidia.dali", "hambatch.pipelines.scoring")
"""What a pipeline imports. That takes as long as OpenVINO takes to load a graph, in native code."""


def run(connection: Connection) -> None:
    """Answer batches until the parent sends None."""
    parent = Parent(connection)
    job = parent.receive_job()
    try:
        _answer_all(parent, job)
    except HambatchError as error:
        parent.send(Refused(error))
    except (MemoryError, ImportError, OSError, RuntimeError) as error:
        if is_of_memory(error):
            words = str(error) or type(error).__name__
            parent.send(NoMemory(words, short=lacks_memory(words) or not has_plenty()))
        elif is_of_the_machine(error):
            parent.send(Refused(shortage_at(getattr(error, "filename", None) or "a file", error)))
        else:
            raise
    # The parent waits for the end. Native libraries that put away their things take 0.3 s.
    os._exit(0)


def _answer_all(parent: Parent, job: Job) -> None:
    from hambatch.backends import BACKENDS, load_backend
    from hambatch.engines.loading import load_engine
    from hambatch.risk.checking import checker_of

    times, started = StageTimes(), time.perf_counter()
    engine = load_engine(job.engine, job.engine_sha256)
    if job.backend == BACKEND_OF_GATES:
        threading.Thread(target=import_early, args=(DECODING,), daemon=True, name="imports").start()
    how = job.precision, job.streams, job.model_cache, job.gpu, job.double_check
    backend = load_backend(job.backend, engine, *how)
    ahead, prefetch = (0, 1) if job.one_by_one else (BATCHES_AHEAD, job.prefetch)
    pipeline = _pipeline(job, prefetch, engine.manifest, parent)
    times.load_s = time.perf_counter() - started
    # As many as all stages can hold, and one, so that the parent never waits for an answer
    # that waits for the parent.
    window = 1 if job.one_by_one else ahead + prefetch + backend.holds + 1
    parent.send(Ready(backend.name, pipeline.decoder, window, backend.note))

    in_a_hurry = threading.Event()
    received, shortage = _received(parent, in_a_hurry), list[Shortage]()
    fetched = read_ahead(received, job.readers, ahead, job.bounds, parent.say_alive)
    files = _timed(_until(shortage, fetched), times, "read_wait_s")
    files = _with_room(_shortened(files, in_a_hurry))
    if job.one_by_one:
        files = _announced(files, parent)
    batches = _timed(pipeline.batches(files), times, "decode_wait_s")
    predict = _one_by_one(backend) if job.one_by_one else backend.predict
    if job.tta > 1:
        predict = with_views(predict, job.tta, of_sentinels=grid_of(job) is None)
    checker, checks = None, job.backend in BACKENDS  # only a run has use for it
    for scored in _timed(predict(batches), times, "inference_wait_s"):
        if checks and checker is None:
            # Not before: the next requests are being computed meanwhile. It takes 0.1 s.
            checker = checker_of(engine)
            checks = checker is not None
        parent.send(_answer(scored, checker))

    backend.close()
    if shortage:
        raise shortage[0]
    times.inference_wait_s -= times.decode_wait_s
    times.decode_wait_s -= times.read_wait_s
    parent.send(Finished(times, pipeline.troubles))


def _pipeline(job: Job, prefetch: int, manifest: "Manifest", parent: Parent) -> "ScoringPipeline":
    from hambatch.pipelines.decoder_log import DecoderLog
    from hambatch.pipelines.scoring import build_pipeline

    return build_pipeline(
        job.batch_size,
        job.decode_threads,
        prefetch,
        manifest.input,
        manifest.preprocessing,
        job.limits,
        DecoderLog(required=True),
        parent.say_alive,
        gpu=job.gpu,
        decoder=job.decoder,
    )


def _answer(scored: Scored, checker: "Checker | None") -> Answer:
    batch = scored.batch
    checked = checker.check_all(on_host(batch.images), scored.features) if checker else None
    return Answer(
        batch.indices,
        scored.logits,
        list(batch.decoders),
        list(batch.sha256),
        list(batch.failures),
        views=scored.views,
        explained=scored.explained,
        twice=scored.twice,
        places=scored.places,
        checked=checked,
    )


def _one_by_one(backend: "Backend") -> Callable[[Iterable[Batch]], Iterator[Scored]]:
    def predict(batches: Iterable[Batch]) -> Iterator[Scored]:
        for batch in batches:
            yield from backend.predict([batch])

    return predict


def _announced(batches: Iterable[list[Fetched]], parent: Parent) -> Iterator[list[Fetched]]:
    # Should the decoder be lost now, the parent has the hash and need not read the file.
    for files in batches:
        parent.send(Touched(files[0].sha256))
        yield files


def _until(shortage: list[Shortage], batches: Iterable[T]) -> Iterator[T]:
    """End at a file that the machine cannot read, and note why: what is read is still scored."""
    try:
        yield from batches
    except Shortage as error:
        shortage.append(error)


def _with_room(batches: Iterable[T]) -> Iterator[T]:
    """Raise MemoryError where native code would lack memory: much of it hangs or dies then."""
    for batch in batches:
        refuse_without_room()
        yield batch


def _shortened(
    batches: Iterable[list[Fetched]], in_a_hurry: threading.Event
) -> Iterator[list[Fetched]]:
    """Leave images out when the parent hurries: the sentinels prove what is scored already."""
    for files in batches:
        yield [file for file in files if file.index < 0] if in_a_hurry.is_set() else files


def _received(parent: Parent, in_a_hurry: threading.Event) -> Iterator[list[Item]]:
    # A thread receives, so that a batch is ready the moment a reader is free, and so that
    # the parent can always send: it may not be reading what the main thread sends.
    waiting: queue.SimpleQueue[list[Item] | None] = queue.SimpleQueue()

    def receive() -> None:
        while (items := parent.receive()) is not None:
            if isinstance(items, Hurry):
                in_a_hurry.set()
            else:
                waiting.put(items)
        waiting.put(None)

    threading.Thread(target=receive, daemon=True, name="receiver").start()
    while (items := waiting.get()) is not None:
        yield items


def _timed(stream: Iterator[T], times: StageTimes, name: str) -> Iterator[T]:
    while True:
        before = time.perf_counter()
        item = next(stream, None)
        setattr(times, name, getattr(times, name) + time.perf_counter() - before)
        if item is None:
            return
        yield item
