"""How a run starts: fresh, resumed or as a retry; and what is refused before any work."""

import logging
import os
import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path

from hambatch.engines.loading import Engine
from hambatch.engines.precision import choose_precision
from hambatch.errors import InputError
from hambatch.pipelines.header import is_cut_off, refusal
from hambatch.scoring.journal.begun import DeviceHistory, Updating, survey_of
from hambatch.scoring.journal.fingerprint import (
    Fingerprint,
    fingerprint_of,
    other_than_listing,
    refuse_other,
    refuse_stricter,
    without_limits,
)
from hambatch.scoring.journal.folder import Journal
from hambatch.scoring.plan import ON_GPU, RunPlan
from hambatch.scoring.record import history_of, oldest_row_utc, options_of, read_record, utc_now
from hambatch.scoring.signing import table_to_keep
from hambatch.scoring.update.index import keep_stats
from hambatch.sinks.formats import read_rows, refuse_unfit
from hambatch.sinks.isic_table import repeated_ids
from hambatch.sinks.publish import beside_update, outputs_of, record_path, seal_path
from hambatch.sources.images import refuse_no_images
from hambatch.sources.listing import Listing, list_names, list_sources
from hambatch.sources.reading import Bounds, Limits, fetch
from hambatch.sources.source import Kind, Sources
from hambatch.system.files import refusing, sha256_of_file
from hambatch.system.packages import require
from hambatch.system.signing_keys import SigningKey
from hambatch.system.text import encode_name
from hambatch.system.workbook import openpyxl
from hambatch.types import Row

log = logging.getLogger(__name__)

ROWS_AT_ONCE = 1000
"""Rows of a table that a retry copies into its journal at a time."""


def check_output(out: Path, kind: str, *, update: bool = False, mkdir: bool = False) -> None:
    """Find an output that can never be written, before anything is made beside it.

    ``mkdir``: its folder may be missing, if it can be made.

    Raises
    ------
    InputError
        If ``out``, its record or its seal is no file, or it lies in none, or has no possible name;
        or with ``update``, if the format is one that cannot be read back.
    MissingDependency
        If the format needs a package that is not installed.
    """
    try:
        is_folder, has_parent = not out.name or out.is_dir(), out.parent.is_dir()
        if mkdir and not os.path.lexists(out.parent):
            has_parent = next(p for p in out.absolute().parents if os.path.lexists(p)).is_dir()
        beside = () if is_folder else _companions(out, update=update)
        blocked = [path for path in beside if path.exists() and not path.is_file()]
        linked = [path for path in beside if path.is_symlink()]
        is_other = out.exists() and not (is_folder or out.is_file())
    except OSError as error:
        raise InputError(
            f"{out} cannot be written: {error.strerror}.\nNext: name another --out"
        ) from error
    if is_other:
        raise InputError(f"{out} is a device or a pipe, wanted a file.\nNext: name another --out")
    if is_folder or not has_parent:
        found = "is a folder" if is_folder else f"lies in {out.parent}, which is no folder"
        make = f"add --mkdir, or mkdir -p {shlex.quote(str(out.parent))}, or "
        make = "" if os.path.lexists(out.parent) or mkdir else make
        raise InputError(f"{out} {found}, wanted a file to write.\nNext: {make}name another --out")
    _refuse_companions(blocked, linked)
    _check_format(kind, update=update)


def _refuse_companions(blocked: Sequence[Path], linked: Sequence[Path]) -> None:
    if blocked:
        raise InputError(
            f"{blocked[0]} is a folder, a device or a pipe, wanted a file of this run or nothing.\n"
            "Next: name another --out"
        )
    if linked:
        # Nobody has named them: through such a link a run would replace a file of somebody else.
        raise InputError(
            f"{linked[0]} is a symbolic link, wanted a file of this run or nothing.\n"
            f"Next: rm {shlex.quote(str(linked[0]))}, or name another --out"
        )


def _check_format(kind: str, *, update: bool) -> None:
    if update and kind == "isic":
        raise InputError(
            "a submission cannot be updated: it has neither status nor sha256.\n"
            "Next: update a .csv, and write the submission from time to time"
        )
    if kind == "parquet":
        require("pyarrow", extra="parquet", purpose="a Parquet table")
    if kind == "xlsx":
        openpyxl()


def refuse_own_output(sources: Sources, out: Path) -> None:
    """Raise InputError if a source is a file that the run would replace."""
    own = set(map(os.path.realpath, outputs_of(out)))
    for part in sources.parts:
        if part.kind in (Kind.FILE, Kind.ARCHIVE, Kind.MANIFEST) and str(part.word) in own:
            raise InputError(
                f"{part.named} is a SOURCE and would be replaced by an output of --out {out}; "
                "wanted another file to write.\nNext: name another --out"
            )


def _companions(out: Path, *, update: bool) -> tuple[Path, ...]:
    return (record_path(out), seal_path(out), *(beside_update(out) if update else ()))


def refuse_existing(journal: Journal, out: Path, *, replace: bool) -> None:
    """Raise InputError if ``out`` or what belongs to it exists, unless this run may replace it.

    A run that has not begun may replace all with ``replace``, and its journal keeps which files
    these are. A run that began may replace those, and the table that it has written itself.
    """
    existing = [path for path in (out, *_companions(out, update=True)) if path.exists()]
    if not journal.begun and existing and not replace:
        again = "--update to bring it up to date, " if existing[0] == out else ""
        raise InputError(
            f"{existing[0]} exists already.\nNext: add {again}--overwrite to replace it, "
            "--retry-failed to score its failed rows again, or name another --out"
        )
    found = {_sha256_of(path): path for path in existing}
    if not journal.begun:
        journal.may_replace = list(found)
    elif not is_published(journal, out):
        for path in (path for digest, path in found.items() if digest not in journal.may_replace):
            raise InputError(
                f"{path} exists already, and is not the file that the unfinished run in "
                f"{journal.folder.name} replaces.\nNext: mv {shlex.quote(str(path))} "
                f"{shlex.quote(f'{path}.old')}, then the same command; or add --overwrite to "
                "replace it and start afresh"
            )


def _sha256_of(path: Path) -> str:
    """Hash an output that is there; raises InputError if it cannot be read."""
    with refusing(path):
        return sha256_of_file(path)


def refuse_repeated_ids(listing: Listing, kind: str, sources: Sources, bounds: Bounds) -> None:
    """Refuse different images of one id, where the table names images by their id alone.

    Such files are read, but not decoded: what is no whole image will fail, and copies of the same
    bytes are one image. Raises InputError, naming the first two.
    """
    repeated = repeated_ids(listing) if kind == "isic" else {}
    names = {encode_name(name) for several in repeated.values() for name in several}
    entries = {e.name: e for e in listing.entries() if e.name in names} if names else {}
    for image_id, several in repeated.items():
        files: dict[str, str] = {}
        for name in map(encode_name, several):
            file = fetch(sources.item(0, entries[name]), bounds)
            if not (file.problem or _will_fail(file.content, bounds.limits)):
                files.setdefault(file.sha256, name)
        if len(files) > 1:
            raise refused_id(f"{image_id} is {' and '.join(list(files.values())[:2])}")


def _will_fail(content: bytes, limits: Limits) -> bool:
    cut_off = is_cut_off(content) and not limits.salvage_truncated
    return cut_off or bool(refusal(content, limits))


def refused_id(found: str) -> InputError:
    """Build the error for different images of one id."""
    return InputError(
        f"different images have one image id: {found}; a submission names images by their id "
        "alone.\nNext: remove all but one of them, score one folder after the other, or write "
        "another --format"
    )


def is_published(journal: Journal, out: Path) -> bool:
    """Tell whether a kill came between writing the table of this journal and removing it."""
    if journal.about is None:
        return False
    try:
        record = read_record(record_path(out))
        same_run = record["timing"]["begun_utc"] == journal.about.begun_utc
        return bool(same_run) and sha256_of_file(out) == record["output"]["sha256"]
    except (InputError, OSError, KeyError, TypeError):
        return False


def begin(
    journal: Journal,
    sources: Sources,
    engine: Engine,
    plan: RunPlan,
    out: Path,
    kind: str,
    key: SigningKey | None,
    *,
    retry_failed: bool,
    indexed: bool = False,
) -> None:
    """Resume what the journal holds; where it holds nothing, begin a retry or a new run.

    ``indexed``: a new run leaves an index beside its table, for ``--update``.
    """
    if journal.begun:
        resume(journal, sources, engine, plan)
    elif retry_failed:
        with table_to_keep(out, key) as kept:
            retry(journal, sources, engine, plan, kept, kind)
    else:
        fresh(journal, sources, engine, plan, out, kind, indexed=indexed)


def fresh(
    journal: Journal,
    sources: Sources,
    engine: Engine,
    plan: RunPlan,
    out: Path,
    kind: str,
    *,
    indexed: bool = False,
) -> None:
    """List the sources for a new run."""
    journal.clear()
    listed_ns = time.time_ns()
    listing = list_for_run(sources, journal.listing_path, out)
    refuse_unfit(listing, kind, out)
    stats = keep_stats(journal, sources, listing) if indexed else ""
    journal.begin(
        fingerprint_of(sources, listing, engine, plan),
        listing.survey,
        utc_now(),
        updating=Updating(listed_ns, stats) if indexed else None,
    )


def resume(journal: Journal, sources: Sources, engine: Engine, plan: RunPlan) -> None:
    """Make sure that the run that began is the one that is wanted now.

    The listing stays as it was, so that a resumed run gives what an uninterrupted one gives;
    what came and went since is counted at the end. Where ``auto`` had chosen a GPU that is gone,
    the CPU does the rest. Raises InputError if anything that decides a row differs, naming it.
    """
    listing, began = journal.listing(), journal.begun_with.fingerprint
    now = fingerprint_of(sources, listing, engine, plan)
    refuse_other(
        began,
        _as_on_gpu(began, now, engine, plan) if plan.takes_over else now,
        "an unfinished run of other settings has this --out",
        f"{_restored(began, now)}, add --overwrite to start afresh, or name another --out",
    )
    if plan.takes_over:
        _note_take_over(journal, plan)
    refuse_no_images(sources)


def _as_on_gpu(began: Fingerprint, now: Fingerprint, engine: Engine, plan: RunPlan) -> Fingerprint:
    """Give the CPU's fingerprint what only the GPU has: everything else has to be the same."""
    given = plan.given
    used = choose_precision(engine.manifest, ON_GPU, given.precision, force=given.force).used
    return {
        **now,
        "backend": {**now["backend"], "name": ON_GPU, "precision": used},
        "device": {**began["device"], "instruction_set": now["device"]["instruction_set"]},
        "versions": {**began["versions"], **now["versions"]},
    }


def _note_take_over(journal: Journal, plan: RunPlan) -> None:
    """Tell the user and the journal; a later start does not note it again."""
    gpu, why = journal.begun_with.fingerprint["device"]["gpu"], plan.placement.why
    log.warning("the run began on a GPU (%s): %s; the CPU does the rest of its images", gpu, why)
    entry = {"from": gpu, "to": "the CPU", "why": why}
    if entry not in journal.devices.handed_over[-1:]:
        journal.note_before_start(DeviceHistory(handed_over=[entry]))


def retry(
    journal: Journal, sources: Sources, engine: Engine, plan: RunPlan, out: Path, kind: str
) -> None:
    """Begin with the scored rows of a finished table; its failed ones are what is missing.

    As in :func:`resume`, the listing stays as it was. Raises InputError if the table is not its
    record's, or was made under higher limits or with anything else that decides a scored row.
    """
    journal.clear()
    record = read_record(record_path(out))
    refuse_changed(out, _sha256_of_table(out), record["output"]["sha256"])
    names = (encode_name(row.image) for row in read_rows(out, kind))
    path = journal.listing_path
    listing = list_names(sources, names, path, leave=_own(out, path))
    began, now = record["fingerprint"], fingerprint_of(sources, listing, engine, plan)
    refuse_other(
        without_limits(began),
        without_limits(now),
        f"{out} was made with other settings",
        f"{_restored(began, now)},{_updated(began, now)} or add --overwrite instead of "
        "--retry-failed to score all of it again",
    )
    refuse_stricter(options_of(record["options"]), plan.used, f"{out} was made with other limits")
    refuse_no_images(sources)
    with closing(journal.rows(listing, now)) as rows:
        scored = ((k, row) for k, row in enumerate(read_rows(out, kind)) if row.status == "ok")
        for some in _parts(scored):
            rows.append(some)
        rows.sync()
    survey = survey_of(record["not_scored"], "not_scored")
    journal.begin(now, survey, utc_now(), history_of(record), oldest_row_utc(record))


def _restored(found: Fingerprint, now: Fingerprint) -> str:
    """Say how to get back to what a run began with; no setting gives a GPU back."""
    gpu = found.get("device", {}).get("gpu")
    if gpu and found["device"] != now["device"]:
        return f"run it where its GPU ({gpu}), its driver and its plan are, with its settings"
    return "give the settings it began with"


def _updated(found: Fingerprint, now: Fingerprint) -> str:
    """Name the option that takes other images, if these are all that differs."""
    if other_than_listing(without_limits(found), without_limits(now)):
        return ""
    return " write --update instead of --retry-failed to score what changed,"


def list_for_run(
    sources: Sources,
    path: Path,
    out: Path,
    leave_out: Callable[[Path], bool] | None = None,
) -> Listing:
    """List the sources into the file ``path`` of the journal, without what is the run's own.

    ``leave_out``: archives that are not looked through.
    """
    return list_sources(sources, path, leave=_own(out, path), leave_out=leave_out)


def _own(out: Path, path: Path) -> tuple[Path, ...]:
    return (*outputs_of(out), path.parent)


def _sha256_of_table(out: Path) -> str:
    try:
        return sha256_of_file(out)
    except OSError as error:
        raise InputError(
            f"{out} cannot be read: {error.strerror}.\n"
            "Next: leave --retry-failed away to score the folder"
        ) from error


def refuse_changed(out: Path, found: str, wanted: str) -> None:
    """Raise InputError if a table's sha256 is not the one that its record states."""
    if found != wanted:
        raise InputError(
            f"{out} is not the table that {record_path(out).name} describes: "
            f"sha256 {found}, wanted {wanted}.\n"
            "Next: restore it, or add --overwrite instead of --update or --retry-failed to score "
            "all of it again"
        )


def _parts(rows: Iterator[tuple[int, Row]]) -> Iterator[list[tuple[int, Row]]]:
    while taken := list(islice(rows, ROWS_AT_ONCE)):
        yield taken
