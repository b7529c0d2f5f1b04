"""The story of `hambatch explain`: decode as in scoring, score with maps, draw, write."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from operator import itemgetter
from pathlib import Path
from typing import Any

from hambatch.backends import MAPS
from hambatch.backends.placing import REQUEST_SIZE
from hambatch.engines.backend_names import FP32
from hambatch.engines.loading import Engine, find_engine, load_engine
from hambatch.engines.probabilities import as_wanted
from hambatch.explanation.document import as_document
from hambatch.explanation.heat_map import PURPOSE, Explanation, explanation_png, shown_size
from hambatch.explanation.options import ExplainOptions
from hambatch.explanation.selection import Selection
from hambatch.scoring.plan import plan_run
from hambatch.scoring.rows import Unwatched, rows_of_answer
from hambatch.scoring.worker.protocol import Answer, Job
from hambatch.scoring.worker.supervisor import SupervisedWorker
from hambatch.sources.reading import fetch
from hambatch.sources.reading_order import in_reading_order
from hambatch.system.files import refusing, write_bytes, write_json
from hambatch.system.interrupts import Interrupted, Stop, stopping
from hambatch.system.plotting import require_matplotlib
from hambatch.system.text import decode_name, encode_name, stem_of
from hambatch.types import Row

DOCUMENT = "explain.json"

ID_AT_MOST = 80
"""Characters of an image_id in the name of its PNG; file systems take 255 bytes."""

Indexed = tuple[int, Explanation]
"""An explanation, and its place in the selection."""

Progress = Callable[[Iterable[Indexed], int], Iterable[Indexed]]
"""Wraps the stream of explanations to show how many are done."""


@dataclass(frozen=True)
class Outcome:
    """Every image of the selection, in order, and ``explain.json`` as it was written."""

    explanations: list[Explanation]
    document: dict[str, Any]

    @property
    def complete(self) -> bool:
        """Whether no image failed."""
        return all(one.row.status == "ok" for one in self.explanations)


@dataclass(frozen=True)
class _Run:
    selection: Selection
    of_class: str | None
    out: Path
    engine: Engine
    job: Job


def explain(
    selection: Selection,
    out: Path,
    options: ExplainOptions,
    progress: Progress = lambda found, total: found,
) -> Outcome:
    """Write a PNG for every image that can be scored, then ``explain.json``, into a folder.

    Files of these names are replaced, all others of the folder left alone.

    Raises
    ------
    EngineError
        If the engine cannot be used, or its head is of another form.
    InputError
        If the folder cannot be made or written to.
    MissingDependency
        If matplotlib is not installed; then nothing is done.
    Interrupted
        If a signal stopped it: PNGs that are drawn stay, `explain.json` is not written.
    """
    require_matplotlib("matplotlib", PURPOSE)
    engine = load_engine(find_engine(selection.options.engine))
    manifest = as_wanted(engine.manifest, selection.options.calibration)
    engine = replace(engine, manifest=manifest)
    run = _Run(selection, options.of_class, out, engine, _job(selection, engine))
    with stopping("the image under way") as stop, SupervisedWorker(run.job) as worker:
        backend = worker.wait_ready().backend
        with refusing(out):
            out.mkdir(parents=True, exist_ok=True)
        found = list(progress(_explanations(run, worker, backend, stop), len(selection.entries)))
    if len(found) != len(selection.entries):
        # Images out = images in: anything else is a bug.
        raise AssertionError(f"{len(found)} of {len(selection.entries)} images were answered")
    explanations = [one for _, one in sorted(found, key=itemgetter(0))]
    document = as_document(selection, engine, backend, explanations)
    write_json(out / DOCUMENT, document)
    return Outcome(explanations, document)


def _job(selection: Selection, engine: Engine) -> Job:
    """Take the job of a run in FP32 on the CPU, in small batches, by the backend that explains."""
    how = replace(selection.options, precision=FP32, batch_size=REQUEST_SIZE)
    return replace(plan_run(engine.folder, how, selection.sources).job, backend=MAPS)


def _explanations(
    run: _Run, worker: SupervisedWorker, backend: str, stop: Stop
) -> Iterator[Indexed]:
    sources, entries = run.selection.sources, run.selection.entries
    names = {index: decode_name(entry.name) for index, entry in enumerate(entries)}
    ordered = in_reading_order(enumerate(entries))
    items = (sources.item(index, entry) for index, entry in ordered)
    for answer in worker.answers(Unwatched(REQUEST_SIZE).batches(items)):
        for index, row in rows_of_answer(answer, names, run.engine.manifest, backend):
            if stop.requested:
                raise Interrupted
            yield index, _explanation(run, index, row, answer)


def _explanation(run: _Run, index: int, row: Row, answer: Answer) -> Explanation:
    """Draw an image that was scored."""
    in_table = run.selection.rows[index] if run.selection.rows else None
    if in_table and row.status == "ok" and row.sha256 != in_table.sha256:
        reason = f"not the file of the table: sha256 {row.sha256}, wanted {in_table.sha256}"
        row = Row(row.image, "failed", sha256=row.sha256, reason=reason)
    if row.status != "ok" or answer.explained is None:
        return Explanation(row, in_table)
    slot = answer.indices.tolist().index(index)
    # The class that the map is of by default is the one that is shown as predicted.
    of_class = run.of_class or (in_table or row).prediction
    found = Explanation(
        row,
        in_table,
        maps=answer.explained.maps[slot],
        size=_size(run, index, row),
        of_class=of_class,
        file=f"{index + 1:04d}_{_short_id(row.image)}_{of_class}.png",
    )
    drawn = explanation_png(found, answer.explained.images[slot], run.engine.manifest.classes)
    write_bytes(run.out / found.file, drawn)
    return found


def _size(run: _Run, index: int, row: Row) -> tuple[int, int] | None:
    """Read it from the header of the very bytes that were scored; None if they are gone."""
    item = run.selection.sources.item(index, run.selection.entries[index])
    file = fetch(item, run.job.bounds)
    upright = run.engine.manifest.preprocessing.exif_orientation
    same = file.sha256 == row.sha256
    return shown_size(file.content, exif_orientation=upright) if same else None


def _short_id(image: str) -> str:
    """Give the image_id in characters that every file system takes."""
    image_id = stem_of(encode_name(image))[:ID_AT_MOST]
    return "".join(c if c.isascii() and (c.isalnum() or c in "-_.%") else "_" for c in image_id)
