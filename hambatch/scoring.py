"""The run: source -> pipeline -> backend -> sink, and nothing lost on the way."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from hambatch.batches import Row
from hambatch.config import ScoreOptions
from hambatch.cores import available_cores
from hambatch.engines.loading import load_engine
from hambatch.engines.manifest import Manifest
from hambatch.engines.store import find_engine
from hambatch.errors import InputError
from hambatch.limits import Limits
from hambatch.probabilities import DECIMALS, calibrated
from hambatch.run_record import Tally, describe_run, record_path, utc_now
from hambatch.sink import open_outputs
from hambatch.sources.folder import Listing, list_images
from hambatch.sources.reading import Item
from hambatch.supervision import SupervisedWorker
from hambatch.worker import Answer, Job

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
    with SupervisedWorker(job_for(engine_folder, options), options.decode_seconds) as worker:
        listing = list_images(source, follow_symlinks=options.follow_symlinks)
        engine = load_engine(engine_folder)
        with open_outputs(out, kind, record_path(out)) as outputs:
            rows = rows_of(worker, listing.root, listing.names, engine.manifest, options)
            shown = progress(rows, len(listing.names)) if progress else rows
            tally = _write(shown, outputs.write, len(listing.names))
            ready, seconds = worker.wait_ready(), time.monotonic() - started
            about = partial(describe_run, output=out, listing=listing, engine=engine, tally=tally)
            timing = _timing(started_utc, seconds, worker)
            outputs.finish(partial(about, options=options, timing=timing, backend=ready.backend))
    return Outcome(tally, listing, ready.backend, ready.decoder, seconds)


def _write(rows: Iterable[Row], write: Callable[[Row], None], images: int) -> Tally:
    tally = Tally()
    for row in rows:
        write(row)
        tally.count(row)
    if tally.scored + tally.failed != images:
        # Rows out = images in: anything else is a bug, and no output is left.
        raise AssertionError(f"{tally.scored + tally.failed} rows for {images} images")
    return tally


def _timing(started_utc: str, seconds: float, worker: SupervisedWorker) -> dict[str, Any]:
    stages = {name: round(value, 3) for name, value in asdict(worker.stage_times).items()}
    return {
        "started_utc": started_utc,
        "ended_utc": utc_now(),
        "seconds": round(seconds, 3),
        "workers_lost": worker.lost,
        "stages": stages,
    }


def predict_files(root: Path, names: Sequence[str], options: ScoreOptions) -> list[Row]:
    """Score files named relative to ``root`` through the same path; rows in their order."""
    engine_folder = find_engine(options.engine)
    with SupervisedWorker(job_for(engine_folder, options), options.decode_seconds) as worker:
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
        limits=Limits(
            max_bytes=int(options.max_megabytes * 1e6),
            max_pixels=int(options.max_megapixels * 1e6),
            salvage_truncated=options.salvage_truncated,
        ),
    )


def rows_of(
    worker: SupervisedWorker,
    root: Path,
    names: Sequence[str],
    manifest: Manifest,
    options: ScoreOptions,
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
    try:
        is_folder, has_parent = out.is_dir(), out.parent.is_dir()
        existing = [path for path in (out, record_path(out)) if path.exists()]
    except OSError as error:
        raise InputError(
            f"{out} cannot be written: {error.strerror}.\nNext: name another --out"
        ) from error
    if is_folder or not has_parent:
        found = "is a folder" if is_folder else f"lies in {out.parent}, which is no folder"
        raise InputError(f"{out} {found}, wanted a file to write.\nNext: name another --out")
    if record_path(out).is_dir():
        raise InputError(
            f"{record_path(out)} is a folder, wanted room for the record.\nNext: name another --out"
        )
    if existing and not overwrite:
        raise InputError(
            f"{existing[0]} exists already.\n"
            "Next: add --overwrite to replace it, or name another --out"
        )
