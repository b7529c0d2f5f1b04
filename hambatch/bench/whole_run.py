"""A whole run as `score` does it: worker process, sentinels, journal; and its table alone."""

import multiprocessing
import os
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from hambatch.bench.inference import refuse_other
from hambatch.bench.measuring import Case, Loaded, Turn, peak_rss_mb, timed
from hambatch.engines.loading import Engine, load_engine
from hambatch.errors import InputError
from hambatch.scoring.journal.rows import RowLog
from hambatch.scoring.options import ScoreOptions
from hambatch.scoring.plan import plan_run
from hambatch.scoring.rows import rows_of
from hambatch.scoring.sentinels.watch import watch_of
from hambatch.scoring.worker.protocol import Job
from hambatch.scoring.worker.supervisor import SupervisedWorker
from hambatch.sinks.formats import open_table
from hambatch.sources.entry import Entry
from hambatch.sources.source import Sources
from hambatch.system.own_time import cpu_seconds
from hambatch.types import Row

ROWS_AT_LEAST = 10_000
"""A turn of fewer is too short to be timed."""

ROW = Row(
    "",
    "ok",
    prediction="nv",
    probabilities=(0.101553, 0.024335, 0.130704, 0.038715, 0.118192, 0.586189, 0.000312),
    malignant=0.24408,
    decoder="dali-cpu",
    backend="openvino-fp32",
    sha256="ea3fbb5e" * 8,
)


@dataclass(frozen=True)
class Writing:
    """Write a CSV of at least ``count`` rows, and replace it in the next turn."""

    table: Path
    count: int

    def case(self) -> Case:
        """Name what is measured."""
        return Case("write, csv", "write", {"format": "csv"}, self)

    def load(self) -> Loaded:
        """Nothing to load."""

        def work() -> int:
            rows = max(self.count, ROWS_AT_LEAST)
            with open_table(self.table, "csv") as write:
                for _ in range(rows):
                    write(ROW)
            return rows

        return Loaded(lambda: timed(work))


@dataclass(frozen=True)
class Whole:
    """Score every image into a journal, in a worker that starts anew each turn.

    The clock runs from the first batch sent to the last row received. Loading the
    engine, before it, is the turn's ``start_s``. Sentinels cost time and are no images.
    """

    engine: Path
    sources: Sources
    entries: tuple[Entry, ...]
    options: ScoreOptions
    scratch: Path

    def load(self) -> Loaded:
        """Load what the parent of a run loads."""
        engine, job = load_engine(self.engine), plan_run(self.engine, self.options).job
        return Loaded(lambda: self._turn(engine, job))

    def _turn(self, engine: Engine, job: Job) -> Turn:
        begun = time.perf_counter()
        with (
            tempfile.TemporaryDirectory(dir=self.scratch) as place,
            closing(RowLog(Path(place) / "rows", len(self.entries))) as log,
            SupervisedWorker(job) as worker,
        ):
            ready = worker.wait_ready()
            refuse_other(ready.backend, job.backend_name, ready.note)
            options = self.options
            keeps = options.model_cache
            with watch_of(engine, job, options.sentinel_every, Path(place), keeps=keeps) as watch:
                cpu, started = _cpu_seconds(), time.perf_counter()
                seconds, busy, peak = 0.0, 0.0, 0.0
                rows = rows_of(
                    worker, enumerate(self.entries), self.sources, engine.manifest, watch
                )
                for _, proven in rows:
                    log.append(proven)
                    # Now, and not after the loop: with its last answer given, the worker ends.
                    seconds, busy = time.perf_counter() - started, _cpu_seconds() - cpu
                    peak = max(peak, sum(map(peak_rss_mb, _processes())))
            if worker.lost or log.failed or log.done < len(self.entries):
                raise InputError(
                    f"{log.failed} of {len(self.entries)} images failed, "
                    f"{len(worker.lost)} workers were lost; wanted a run without trouble.\n"
                    f"Next: hambatch score {self.sources.quoted} --out preds.csv, which says what "
                    "it was"
                )
            return Turn(len(self.entries), seconds, busy, peak, (), started - begun, watch.checked)


def _processes() -> list[int]:
    children = multiprocessing.active_children()
    return [os.getpid(), *(child.pid for child in children if child.pid is not None)]


def _cpu_seconds() -> float:
    return sum(map(cpu_seconds, _processes()))
