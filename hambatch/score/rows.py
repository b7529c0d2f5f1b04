"""Files to rows through a worker: what was asked is what is answered, joined by index."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from hambatch.engines.loading import find_engine, load_engine
from hambatch.engines.manifest import Manifest
from hambatch.engines.probabilities import DECIMALS, as_wanted, softmax, temperature_of, tempered
from hambatch.score.options import ScoreOptions
from hambatch.score.plan import job_for
from hambatch.score.worker.protocol import Answer
from hambatch.score.worker.supervisor import SupervisedWorker
from hambatch.sources.reading import Item
from hambatch.types import Row

IndexedRow = tuple[int, Row]


class Watch(Protocol):
    """Puts items into groups, and looks at every answer before it is believed."""

    def groups(self, items: Iterable[Item]) -> Iterator[list[Item]]:
        """Group the items, adding what it wants to see answered."""
        ...

    def check(self, answer: Answer) -> Answer:
        """Give the answer without what was added; raise if it cannot be believed."""
        ...

    def vouched(self) -> list[int]:
        """Give the images whose answers are known to be right since the last call."""
        ...

    def forget(self) -> None:
        """Let go of answers that nobody can vouch for any more."""
        ...


class Unwatched:
    """Groups, and nothing added; every answer is believed."""

    def __init__(self, batch_size: int) -> None:
        self._batch_size = batch_size
        self._answered: list[int] = []

    def groups(self, items: Iterable[Item]) -> Iterator[list[Item]]:
        """Cut the items into groups."""
        waiting = iter(items)
        while group := list(islice(waiting, self._batch_size)):
            yield group

    def check(self, answer: Answer) -> Answer:
        """Believe it."""
        self._answered += answer.indices.tolist()
        self._answered += (failure.index for failure in answer.failures)
        return answer

    def vouched(self) -> list[int]:
        """Give what was answered."""
        answered, self._answered = self._answered, []
        return answered

    def forget(self) -> None:
        """Nothing is held back."""


def rows_of(
    worker: SupervisedWorker,
    names: Iterable[tuple[int, str]],
    root: Path,
    manifest: Manifest,
    watch: Watch,
) -> Iterator[tuple[int, list[IndexedRow]]]:
    """Yield how many files were answered, and the rows that are vouched for by now.

    Rows that nobody can vouch for, because their worker was lost before a known
    picture went through the same slot, are left out: ask for them again.

    Parameters
    ----------
    names
        Index and name, relative to ``root``, of every file to score; names are
        kept in memory while their groups are on the way only.
    manifest
        Its calibration, if it has one, is applied.

    Raises
    ------
    AssertionError
        If an answer is about a file that was not asked for, or one is not answered.
    """
    asked: dict[int, str] = {}
    held: dict[int, Row] = {}
    process = worker.started

    def items() -> Iterator[Item]:
        for index, name in names:
            asked[index] = name
            yield Item(index, root / name)

    for answer in worker.answers(watch.groups(items())):
        if process != worker.started:
            # Nobody can vouch for another process any more.
            process = worker.started
            watch.forget()
            held.clear()
        # What the parent says of a file that a worker was lost at needs nobody's word.
        certain = answer.by_parent and all(failure.index >= 0 for failure in answer.failures)
        checked = answer if certain else watch.check(answer)
        rows = rows_of_answer(checked, asked, manifest, worker.wait_ready().backend)
        for index, _ in rows:
            del asked[index]
        if certain:
            yield len(rows), rows
            continue
        held.update(rows)
        yield len(rows), [(index, held.pop(index)) for index in sorted(watch.vouched())]
    if asked:
        # Rows out = images in: anything else is a bug.
        raise AssertionError(f"{len(asked)} images were not answered: {sorted(asked)[:5]}")


def rows_of_answer(
    answer: Answer, names: Mapping[int, str], manifest: Manifest, backend: str
) -> list[IndexedRow]:
    """Join one group's scores and failures with the names; sorted by index."""
    unknown = {*answer.indices.tolist(), *(f.index for f in answer.failures)} - names.keys()
    if unknown:
        raise AssertionError(f"answered for {sorted(unknown)}, which nobody asked for")
    rows = [
        (f.index, Row(names[f.index], "failed", sha256=f.sha256, reason=f.reason))
        for f in answer.failures
    ]
    views = [softmax(v) for v in (answer.logits, *answer.views)]
    probabilities = np.mean(views, axis=0)
    for slot, index in enumerate(answer.indices.tolist()):
        row = _scored(probabilities[slot], manifest, answer.decoders[slot], backend)
        rows.append((index, replace(row, image=names[index], sha256=answer.sha256[slot])))
    return sorted(rows, key=lambda found: found[0])


def _scored(p: NDArray[np.float64], manifest: Manifest, decoder: str, backend: str) -> Row:
    if not np.isfinite(p).all():
        return Row("", "failed", reason=f"cannot be scored: {backend} gave no finite numbers")
    label = manifest.classes[int(p.argmax())]
    p = tempered(p, temperature_of(manifest))
    malignant = [k for k, name in enumerate(manifest.classes) if name in manifest.malignant]
    return Row(
        "",
        "ok",
        prediction=label,
        probabilities=tuple(round(float(value), DECIMALS) for value in p),
        malignant=round(float(p[malignant].sum()), DECIMALS),
        decoder=decoder,
        backend=backend,
    )


def predict_files(
    root: Path, names: Sequence[str], options: ScoreOptions, *, anywhere: bool = True
) -> list[Row]:
    """Score files named relative to ``root`` by the path of a run; rows in their order.

    Unless ``anywhere``, links that lead out of ``root`` are failed rows, as in a run.
    """
    engine_folder = find_engine(options.engine)
    watch = Unwatched(options.batch_size)
    job = job_for(engine_folder, options, None if anywhere else root)
    with SupervisedWorker(job, options.decode_seconds) as worker:
        manifest = as_wanted(load_engine(engine_folder).manifest, options.calibration)
        found = rows_of(worker, enumerate(names), root, manifest, watch)
        rows = dict(row for _, vouched in found for row in vouched)
    return [rows[index] for index in range(len(names))]
