"""How an update ends: what changed is written beside the new table, and the new index."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from hambatch.errors import InputError
from hambatch.scoring.journal.begun import Updating
from hambatch.scoring.runner import Run
from hambatch.scoring.update.index import write_index
from hambatch.scoring.update.table_changes import ChangeCounts, write_changes
from hambatch.sinks.formats import read_rows
from hambatch.sinks.publish import changes_path, index_path
from hambatch.sources.folder import LeftOut
from hambatch.system.files import refusing, sha256_of_file


@dataclass(frozen=True)
class Updated(ChangeCounts):
    """The record's ``update``: what a run with ``--update`` kept, scored and changed.

    ``scored`` counts the images that a worker had; ``before_sha256`` is the hash of the table
    before, empty if there was none. Others as in :class:`ChangeCounts` and
    :class:`hambatch.scoring.journal.begun.Updating`.
    """

    reused_by_stat: int = 0
    reused_by_sha256: int = 0
    refused: int = 0
    scored: int = 0
    rehashed: int = 0
    other_bytes: LeftOut = field(default_factory=LeftOut)
    rescored_because: str = ""
    index_not_used: str = ""
    before_sha256: str = ""
    changes_sha256: str = ""
    index_sha256: str = ""

    @property
    def changes(self) -> dict[str, int]:
        """The counts, each by its word."""
        return {one.name: getattr(self, one.name) for one in fields(ChangeCounts)}

    @property
    def kept(self) -> int:
        """Rows of the table before."""
        return self.reused_by_stat + self.reused_by_sha256


def finish_update(
    run: Run, updating: Updating, table_sha256: str, staged: Mapping[Path, Path]
) -> Updated:
    """Write what belongs beside a table that is whole; ``staged`` says where.

    Raises InputError if the journal was changed under way, or the disk is full.
    """
    changes, index = staged[changes_path(run.out)], staged[index_path(run.out)]
    kept = updating.listed_ns, updating.stats_sha256
    with refusing(run.out):
        counts = _changes(run, updating, table_sha256, changes)
        index_sha256 = write_index(index, run.journal, table_sha256, run.sources, kept)
        began = {one.name: getattr(updating, one.name) for one in fields(updating)}
        done = updating.reused_by_stat + updating.reused_by_sha256 + updating.refused
        return Updated(
            **asdict(counts),
            **{name: began[name] for name in began if name not in ("listed_ns", "stats_sha256")},
            scored=run.listing.count - done,
            changes_sha256=sha256_of_file(changes),
            index_sha256=index_sha256,
        )


def _changes(run: Run, updating: Updating, table_sha256: str, path: Path) -> ChangeCounts:
    before, wanted = run.journal.before_path, updating.before_sha256
    if wanted == table_sha256:
        # To compare a table with itself takes a third of a night without news.
        return write_changes(path, (), ())
    if wanted and sha256_of_file(before) != wanted:
        raise InputError(
            f"{before}, the table before, was changed since the run began.\n"
            "Next: add --overwrite to start afresh, and check this machine's disk and memory"
        )
    old = read_rows(before, run.kind) if wanted else iter(())
    return write_changes(path, old, run.rows())
