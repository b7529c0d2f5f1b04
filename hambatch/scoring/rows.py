"""From answers to rows: where the probabilities of a row are computed."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hambatch.engines.loading import find_engine
from hambatch.engines.manifest import Manifest, read_manifest
from hambatch.engines.probabilities import DECIMALS, as_wanted, softmax, temperature_of, tempered
from hambatch.scoring.double_check import refuse_different
from hambatch.scoring.options import ScoreOptions
from hambatch.scoring.plan import plan_run
from hambatch.scoring.worker.protocol import Answer
from hambatch.scoring.worker.supervisor import SupervisedWorker
from hambatch.sources.entry import Entry
from hambatch.sources.reading import Item
from hambatch.sources.reading_order import in_reading_order
from hambatch.sources.source import Sources, folder_of_images
from hambatch.system.text import decode_name, encode_name
from hambatch.types import Row

IndexedRow = tuple[int, Row]


def rows_of_answer(
    answer: Answer, names: Mapping[int, str], manifest: Manifest, backend: str
) -> list[IndexedRow]:
    """Join one batch's scores and failures with the names of its images; sorted by index."""
    unknown = {*answer.indices.tolist(), *(f.index for f in answer.failures)} - names.keys()
    if unknown:
        raise AssertionError(f"the worker answered for {sorted(unknown)}, which it was not sent")
    rows = [
        (f.index, Row(names[f.index], "failed", sha256=f.sha256, reason=f.reason))
        for f in answer.failures
    ]
    probabilities = np.mean([softmax(view) for view in (answer.logits, *answer.views)], axis=0)
    for slot, index in enumerate(answer.indices.tolist()):
        image, sha256, decoder = names[index], answer.sha256[slot], answer.decoders[slot]
        row = _row(image, sha256, probabilities[slot], manifest, decoder, backend)
        if answer.checked and row.status == "ok":
            row = replace(row, **answer.checked[slot]._asdict())
        rows.append((index, row))
    return sorted(rows, key=lambda found: found[0])


def _row(
    image: str,
    sha256: str,
    p: NDArray[np.float64],
    manifest: Manifest,
    decoder: str,
    backend: str,
) -> Row:
    """Make the row of an image from its seven probabilities, before any temperature."""
    if not np.isfinite(p).all():
        reason = f"cannot be scored: {backend} gave no finite numbers"
        return Row(image, "failed", sha256=sha256, reason=reason)
    # Before the temperature: rounding may make the two largest equal.
    label = manifest.classes[int(p.argmax())]
    p = tempered(p, temperature_of(manifest))
    malignant = [k for k, name in enumerate(manifest.classes) if name in manifest.malignant]
    return Row(
        image,
        "ok",
        prediction=label,
        probabilities=tuple(round(float(value), DECIMALS) for value in p),
        malignant=round(float(p[malignant].sum()), DECIMALS),
        decoder=decoder,
        backend=backend,
        sha256=sha256,
    )


class Watch(Protocol):
    """Cuts items into batches, and checks every answer before its rows are used."""

    def batches(self, items: Iterable[Item]) -> Iterator[list[Item]]:
        """Cut the items into batches, and add what is to be checked."""
        ...

    def suspects(self, answer: Answer) -> list[int]:
        """Give the images that may be wrong if some of this answer, not checked yet, are."""
        ...

    def check(self, answer: Answer) -> Answer:
        """Give the answer without what was added; raise if it is wrong."""
        ...

    def proven(self) -> list[int]:
        """Give the images whose answers were proven right since the last call."""
        ...

    def forget(self) -> None:
        """Drop answers that cannot be proven any more: their worker is lost."""
        ...


class Unwatched:
    """Batches with nothing added; every answer counts as right."""

    def __init__(self, batch_size: int) -> None:
        self._batch_size = batch_size
        self._answered: list[int] = []

    def batches(self, items: Iterable[Item]) -> Iterator[list[Item]]:
        """Cut the items into batches."""
        waiting = iter(items)
        while batch := list(islice(waiting, self._batch_size)):
            yield batch

    def suspects(self, answer: Answer) -> list[int]:
        """Give the images of the answer: all before count as right."""
        return [int(index) for index in answer.indices]

    def check(self, answer: Answer) -> Answer:
        """Give the answer as it is."""
        self._answered += answer.indices.tolist()
        self._answered += (failure.index for failure in answer.failures)
        return answer

    def proven(self) -> list[int]:
        """Give all that was answered since the last call."""
        answered, self._answered = self._answered, []
        return answered

    def forget(self) -> None:
        """Nothing is held back."""


def rows_of(
    worker: SupervisedWorker,
    images: Iterable[tuple[int, Entry]],
    sources: Sources,
    manifest: Manifest,
    watch: Watch,
) -> Iterator[tuple[int, list[IndexedRow]]]:
    """Yield the rows of images of sources, as :func:`rows_of_items` does.

    ``images`` are index and place of every image to score.
    """
    items = ((decode_name(entry.name), sources.item(index, entry)) for index, entry in images)
    return rows_of_items(worker, items, manifest, watch)


def rows_of_items(
    worker: SupervisedWorker,
    named: Iterable[tuple[str, Item]],
    manifest: Manifest,
    watch: Watch,
) -> Iterator[tuple[int, list[IndexedRow]]]:
    """Yield how many files were answered, and the rows that are proven by now.

    Rows whose worker was lost before a sentinel went through their slot are left out: they
    have to be scored again; so are those that a worker in a hurry has not begun.

    Parameters
    ----------
    named
        Name and item of every image to score; a name is kept in memory only until its row is
        there.
    manifest
        Its calibration, if it has one, is applied.

    Raises DoubleCheckError if an image got other scores the second time; AssertionError if an
    answer is about a file that was not sent, or a file is not answered.
    """
    sent: dict[int, str] = {}
    held: dict[int, Row] = {}
    process = worker.started

    def items() -> Iterator[Item]:
        for name, item in named:
            sent[item.index] = name
            yield item

    for answer in worker.answers(watch.batches(items())):
        if process != worker.started:
            # What the process before this one answered can no longer be proven.
            process = worker.started
            watch.forget()
            held.clear()
        # That a worker was lost at an image needs no proof.
        certain = answer.by_parent and all(failure.index >= 0 for failure in answer.failures)
        if answer.twice.differing:
            suspect = watch.suspects(answer)
            refuse_different(answer, sent, manifest, worker.job.engine, suspect)
        checked = answer if certain else watch.check(answer)
        rows = rows_of_answer(checked, sent, manifest, worker.wait_ready().backend)
        for index, _ in rows:
            del sent[index]
        if certain:
            yield len(rows), rows
            continue
        held.update(rows)
        yield len(rows), [(index, held.pop(index)) for index in sorted(watch.proven())]
    if sent and not worker.hurried:
        # Rows out = images in: anything else is a bug.
        raise AssertionError(f"{len(sent)} images were not answered: {sorted(sent)[:5]}")


def predict_files(
    root: Path, names: Sequence[str], options: ScoreOptions, *, anywhere: bool = True
) -> list[Row]:
    """Score files named relative to ``root`` as a run does, without sentinels; in their order.

    Unless ``anywhere``, links that lead out of ``root`` are failed rows, as in a run.
    """
    follow = anywhere or options.follow_symlinks
    sources = folder_of_images(root, follow_symlinks=follow)
    return predict_images(sources, [Entry(encode_name(name)) for name in names], options)


def predict_images(sources: Sources, images: Sequence[Entry], options: ScoreOptions) -> list[Row]:
    """Score images of some sources as a run does, without sentinels; in their order.

    The rows have no risk: which certificates are in force is the run's.
    """
    folder = find_engine(options.engine)
    # What differs would have to be refused, and nothing is: each is computed once.
    once = replace(options, double_check=0.0)
    plan = plan_run(folder, once, sources)
    ordered = in_reading_order(enumerate(images))
    with SupervisedWorker(plan.job) as worker:
        manifest = as_wanted(read_manifest(folder), options.calibration)
        found = rows_of(worker, ordered, sources, manifest, Unwatched(options.batch_size))
        rows = dict(row for _, proven in found for row in proven)
    return [rows[index] for index in range(len(images))]
