"""A run whose table goes to standard output: nothing of it until the run has ended well."""

import logging
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hambatch.errors import HambatchError, InputError
from hambatch.scoring.journal.folder import journal_folder
from hambatch.scoring.options import ScoreOptions
from hambatch.scoring.run import Outcome, score

log = logging.getLogger(__name__)

NAMES = {"csv": "stdout.csv", "tsv": "stdout.tsv", "jsonl": "stdout.jsonl", "isic": "stdout.csv"}
"""What the table is called until it was written, by its format: formats that are text."""

NOTHING_KEPT = (
    "nothing is kept: with --out - a run can be resumed only if --journal-dir FOLDER is given"
)

ALL_WRITTEN = "the whole table was written to standard output before; no record of the run is kept"

_OF_JOURNAL_DIR = {
    "has this --out": "has this --journal-dir",
    "name another --out": "name another --journal-dir",
    "name an --out in an existing folder that you may write to, or add --journal-dir with one": (
        "name a --journal-dir that is an existing folder that you may write to"
    ),
    "add --journal-dir with": "name a --journal-dir that is",
}


def score_to_stdout(
    sources: Sequence[Path],
    kind: str,
    options: ScoreOptions,
    journal_dir: Path | None,
    *,
    deliver: Callable[[Path], None],
    overwrite: bool = False,
    **how: Any,
) -> Outcome:
    """Score as :func:`hambatch.scoring.run.score`, and give the whole table to ``deliver``.

    Table, record and journal lie in ``journal_dir`` under names that are always the same, so the
    same command resumes; the record stays there. Without it they lie in a private folder that is
    removed at the end.

    Raises InputError, besides what a run raises, if ``journal_dir`` holds another table.
    """
    name = NAMES["csv" if kind == "auto" else kind]

    delivered = False

    def deliver_and_remove(table: Path) -> None:
        nonlocal delivered
        deliver(table)
        delivered = True
        # While the journal is there: after a kill the next run finds no table that it would refuse.
        table.unlink()

    run = {"deliver": deliver_and_remove, **how}
    if journal_dir is not None:
        out = journal_dir / name
        # The record of the last run is replaced; what an unfinished one has done is not forgotten.
        run["overwrite"] = _starts_afresh(out, overwrite=overwrite)
        with _naming_journal_dir():
            return score(sources, out, kind, options, **run)
    log.warning(
        "--out - without --journal-dir: no record is kept, and a run that is stopped cannot be "
        "resumed"
    )
    with (
        _keeping_nothing(lambda: delivered),
        tempfile.TemporaryDirectory(prefix="hambatch-") as place,
    ):
        return score(sources, Path(place, name), kind, options, **run)


def _starts_afresh(out: Path, *, overwrite: bool) -> bool:
    """Tell whether there is no run to resume; raises InputError for a table of somebody else."""
    has_begun = (journal_folder(out) / "run.json").exists()
    if out.exists() and not (has_begun or overwrite):
        raise InputError(
            f"{out} exists already, wanted room for the table until it is written to standard "
            "output.\nNext: move it away, or name another --journal-dir"
        )
    return overwrite or not has_begun


@contextmanager
def _naming_journal_dir() -> Iterator[None]:
    """Let messages say ``--journal-dir`` where a run to a file would need another ``--out``."""
    try:
        yield
    except HambatchError as error:
        message = str(error)
        for words, instead in _OF_JOURNAL_DIR.items():
            message = message.replace(words, instead)
        error.args = (message,)
        raise


@contextmanager
def _keeping_nothing(is_delivered: Callable[[], bool]) -> Iterator[None]:
    """Replace what a run says of rows that it has kept."""
    try:
        yield
    except (HambatchError, KeyboardInterrupt) as error:
        if isinstance(error, KeyboardInterrupt) or hasattr(error, "__notes__"):
            error.__notes__ = [ALL_WRITTEN if is_delivered() else NOTHING_KEPT]
        raise
