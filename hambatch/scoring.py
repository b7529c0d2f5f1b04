"""The run: source -> pipeline -> backend -> sink, and nothing lost on the way."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from hambatch.atomic import write_json
from hambatch.batches import Row
from hambatch.config import ScoreOptions
from hambatch.cores import available_cores
from hambatch.engines.loading import load_engine
from hambatch.engines.manifest import Manifest
from hambatch.engines.store import find_engine
from hambatch.errors import InputError
from hambatch.hashing import sha256_of_file
from hambatch.probabilities import DECIMALS, calibrated
from hambatch.run_record import Tally, describe_run, record_path, utc_now
from hambatch.sink import open_sink
from hambatch.sources.folder import Listing, list_images
from hambatch.sources.reading import Item
from hambatch.worker import Answer, Job
from hambatch.workers import Worker

Progress = Callable[[Iterable[Row], int], Iterable[Row]]
"""Wraps the stream of rows (and their number) to show how far the run is."""


@dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    tally: Tally
    listing: Listing
    backend: str
    decoder: str
    seconds: float

    @property
    def complete(self) -> bool:
        """Whether every image was scored, and every folder could be read."""
        return not self.tally.failed and not self.listing.unreadable


def score(
    source: Path,
    out: Path,
    kind: str,
    options: ScoreOptions,
    *,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Outcome:
    """Score a folder of images into a table and its record.

    Parameters
    ----------
    kind
        A key of :data:`hambatch.sink.FORMATS`.
    overwrite
        Replace ``out`` if it exists; refused otherwise.

    Raises
    ------
    HambatchError
        If the set-up cannot work; nothing is written then.
    """
    refuse_existing(out, overwrite)
    started, started_utc = time.monotonic(), utc_now()
    engine_folder = find_engine(options.engine)
    # The worker loads while the parent lists: both take a second or more.
    with Worker(job_for(engine_folder, options)) as worker:
        listing = list_images(source, follow_symlinks=options.follow_symlinks)
        engine = load_engine(engine_folder)
        tally = Tally()
        with open_sink(out, kind) as write:
            rows = rows_of(worker, listing.root, listing.names, engine.manifest, options)
            for row in progress(rows, len(listing.names)) if progress else rows:
                write(row)
                tally.count(row)
            assert_all_there(tally, listing)
        ready, times = worker.wait_ready(), worker.stage_times
    seconds = time.monotonic() - started
    timing = {
        "started_utc": started_utc,
        "ended_utc": utc_now(),
        "seconds": round(seconds, 3),
        "stages": {name: round(value, 3) for name, value in asdict(times).items()},
    }
    record = describe_run(
        output=out,
        output_sha256=sha256_of_file(out),
        listing=listing,
        engine=engine,
        options=options,
        tally=tally,
        timing=timing,
        backend=ready.backend,
    )
    write_json(record_path(out), record)
    return Outcome(tally, listing, ready.backend, ready.decoder, seconds)


def predict_files(root: Path, names: Sequence[str], options: ScoreOptions) -> list[Row]:
    """Score files named relative to ``root`` through the same path; rows in their order."""
    engine_folder = find_engine(options.engine)
    with Worker(job_for(engine_folder, options)) as worker:
        manifest = load_engine(engine_folder).manifest
        return list(rows_of(worker, root, names, manifest, options))


def job_for(engine_folder: Path, options: ScoreOptions) -> Job:
    """Resolve the options that depend on the machine."""
    return Job(
        engine=engine_folder,
        backend=options.backend,
        precision=options.precision,
        batch_size=options.batch_size,
        threads=options.threads or available_cores(),
        readers=options.readers,
        prefetch=options.prefetch,
    )


def rows_of(
    worker: Worker, root: Path, names: Sequence[str], manifest: Manifest, options: ScoreOptions
) -> Iterator[Row]:
    """Yield one row a name, in order, as groups come back from the worker."""
    size = options.batch_size
    groups = (
        [Item(k, root / names[k]) for k in range(start, min(start + size, len(names)))]
        for start in range(0, len(names), size)
    )
    expected = 0
    for answer in worker.answers(groups):
        rows = rows_of_answer(answer, names, manifest, worker.wait_ready().backend)
        for index in range(expected, expected + len(rows)):
            # A KeyError here is a group that does not hold what was asked: a bug, never a row.
            yield rows[index]
        expected += len(rows)


def rows_of_answer(
    answer: Answer, names: Sequence[str], manifest: Manifest, backend: str
) -> dict[int, Row]:
    """Join one group's scores and failures with the names, by index."""
    rows = {
        failure.index: Row(
            names[failure.index], "failed", sha256=failure.sha256, reason=failure.reason
        )
        for failure in answer.failures
    }
    malignant = [k for k, name in enumerate(manifest.classes) if name in manifest.malignant]
    probabilities = calibrated(answer.logits, manifest.temperature)
    for slot, index in enumerate(answer.indices.tolist()):
        p = probabilities[slot]
        rows[index] = Row(
            names[index],
            "ok",
            prediction=manifest.classes[int(p.argmax())],
            probabilities=tuple(round(float(value), DECIMALS) for value in p),
            malignant=round(float(p[malignant].sum()), DECIMALS),
            decoder=answer.decoders[slot],
            backend=backend,
            sha256=answer.sha256[slot],
        )
    return rows


def refuse_existing(out: Path, overwrite: bool) -> None:
    """Protect a finished output, and find an impossible one before any work.

    Raises
    ------
    InputError
        If ``out`` exists and ``overwrite`` is not set, is a folder, or lies in
        no folder.
    """
    if out.is_dir() or not out.parent.is_dir():
        found = "is a folder" if out.is_dir() else f"lies in {out.parent}, which is no folder"
        raise InputError(f"{out} {found}, wanted a file to write.\nNext: name another --out")
    if out.exists() and not overwrite:
        raise InputError(
            f"{out} exists already.\nNext: add --overwrite to replace it, or name another --out"
        )


def assert_all_there(tally: Tally, listing: Listing) -> None:
    """Rows out = images in: anything else is a bug, and no output is left."""
    if tally.scored + tally.failed != len(listing.names):
        raise AssertionError(f"{tally.scored + tally.failed} rows for {len(listing.names)} images")
