"""A whole run as `score` does it: worker process, known pictures, journal."""

import multiprocessing
import os
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from hambatch.bench.child import Loaded
from hambatch.bench.inference import refuse_other
from hambatch.bench.turns import Turn, cpu_seconds, peak_rss_mb
from hambatch.config import ScoreOptions
from hambatch.engines.loading import Engine, load_engine
from hambatch.errors import InputError
from hambatch.journal.log import RowLog
from hambatch.prediction import job_for, rows_of
from hambatch.sentinels import SentinelWatch
from hambatch.supervision import SupervisedWorker


@dataclass(frozen=True)
class Whole:
    """Score every file into a journal, in a worker that starts anew each turn.

    The clock runs from the first group sent to the last row received. What comes
    before, loading the engine, is the turn's ``start_s``. Known pictures cost time
    and count as no images.
    """

    engine: Path
    root: Path
    names: tuple[str, ...]
    options: ScoreOptions
    scratch: Path

    def load(self) -> Loaded:
        """Load what the parent of a run loads."""
        engine = load_engine(self.engine)
        precision = job_for(self.engine, self.options).precision
        return Loaded(f"{self.options.backend}-{precision}", lambda: self._turn(engine))

    def _turn(self, engine: Engine) -> Turn:
        begun = time.perf_counter()
        job = job_for(engine.folder, self.options)
        with (
            tempfile.TemporaryDirectory(dir=self.scratch) as place,
            closing(RowLog(Path(place) / "rows", len(self.names))) as log,
            SupervisedWorker(job, self.options.decode_seconds) as worker,
        ):
            size, every = self.options.batch_size, self.options.sentinel_every
            ready = worker.wait_ready()
            backend = ready.backend
            refuse_other(backend, f"{job.backend}-{job.precision}", ready.note)
            with SentinelWatch(engine, size, every, backend, Path(place)) as watch:
                return self._timed(engine, worker, watch, log, begun)

    def _timed(
        self,
        engine: Engine,
        worker: SupervisedWorker,
        watch: SentinelWatch,
        log: RowLog,
        begun: float,
    ) -> Turn:
        cpu, started = _cpu_seconds(), time.perf_counter()
        seconds, busy, peak = 0.0, 0.0, 0.0
        rows = rows_of(worker, enumerate(self.names), self.root, engine.manifest, watch)
        for _, vouched in rows:
            log.append(vouched)
            # Now, and not after the loop: with its last answer given, the worker ends.
            seconds, busy = time.perf_counter() - started, _cpu_seconds() - cpu
            peak = max(peak, sum(map(peak_rss_mb, _processes())))
        if worker.lost or log.failed or log.done < len(self.names):
            raise InputError(
                f"{log.failed} of {len(self.names)} images failed, "
                f"{len(worker.lost)} workers were lost; wanted a run without trouble.\n"
                f"Next: hambatch score {self.root} --out preds.csv, which says what it was"
            )
        return Turn(len(self.names), seconds, busy, peak, (), started - begun, watch.checked)


def _processes() -> list[int]:
    children = multiprocessing.active_children()
    return [os.getpid(), *(child.pid for child in children if child.pid is not None)]


def _cpu_seconds() -> float:
    return sum(map(cpu_seconds, _processes()))
