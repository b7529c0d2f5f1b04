"""Which images the sources of a run hold, and where the bytes of each lie."""

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path

from hambatch.errors import InputError
from hambatch.sources.archives.walking import ArchiveLimits, walk_archive
from hambatch.sources.dicom.looking import DicomLook, as_frame, identifier_columns
from hambatch.sources.entry import Cells, Entry
from hambatch.sources.folder import (
    Survey,
    find_images,
    is_named_like_an_archive,
    left_below,
    nothing_found,
)
from hambatch.sources.globbing import Glob
from hambatch.sources.manifest import Manifest, open_manifest
from hambatch.sources.source import Kind, Source, Sources
from hambatch.sources.standard_input import read_paths
from hambatch.system.text import encode_name, plural


def images_in(
    sources: Sources,
    survey: Survey,
    *,
    leave: Iterable[Path] = (),
    columns: Cells = (),
    leave_out: Callable[[Path], bool] | None = None,
) -> Iterator[Entry]:
    """Yield every image of the sources, in no order; names may repeat.

    Parameters
    ----------
    survey
        Counts what gets no row.
    leave
        Files and folders that get none, such as the table itself.
    columns
        Carried ones, as :func:`carried_columns` gives them.
    leave_out
        Chooses archives that are not looked through.

    Raises InputError if a source is gone, one folder of several sources has no image, or a
    manifest cannot be read.
    """
    left = [Path(path) for path in leave]
    with closing(DicomLook(sources, columns)) as look:
        yield from _images_of_parts(sources, survey, left, columns, leave_out, look)


def _images_of_parts(
    sources: Sources,
    survey: Survey,
    left: list[Path],
    columns: Cells,
    leave_out: Callable[[Path], bool] | None,
    look: DicomLook,
) -> Iterator[Entry]:
    for number, source in enumerate(sources.parts):
        found = Survey()
        walk = _Walk(number, source, sources, found, left, columns, leave_out)
        yield from look.images(walk.entries())
        is_tree = source.kind in (Kind.FOLDER, Kind.GLOB)
        if is_tree and len(sources.parts) > 1 and not (walk.found_any or leave_out):
            raise _nothing_in_one(source, found)
        survey.join(found, encode_name(f"{source.label}/") if source.label and is_tree else "")


def carried_columns(sources: Sources) -> tuple[str, ...]:
    """Name the columns that the manifests carry, each once, in the order in which they come.

    Those of ``--keep-ids`` come last. Raises InputError if a manifest has one of them, or cannot be
    read.
    """
    manifests = [open_manifest(part.path) for part in sources.parts if part.kind is Kind.MANIFEST]
    carried = dict.fromkeys(name for manifest in manifests for name in manifest.carried)
    return (*carried, *identifier_columns(sources, carried))


def refuse_no_images(sources: Sources) -> None:
    """Raise InputError if a source is gone, or a folder has no file that gets a row.

    An archive that is not mounted would otherwise be a hundred thousand failed rows.
    """
    for source in sources.parts:
        if source.kind in (Kind.FOLDER, Kind.GLOB):
            survey = Survey()
            walk = _Walk(0, source, sources, survey, [], (), None)
            if not any(walk.paths()):
                raise nothing_found(source.path, survey)
        elif not source.path.exists():
            raise InputError(
                f"{source.named} does not exist, wanted the {source.kind} that the run began with."
                "\nNext: mount it or move it back, and run the same command again"
            )


def _nothing_in_one(source: Source, survey: Survey) -> InputError:
    """Make the error of a folder without images among several sources: it may be a bare mount."""
    found, *_ = str(nothing_found(source.path, survey)).splitlines()
    return InputError(
        f"{found}\nNext: mount it if it is a share, or leave it out; "
        "if it may be empty, name the folder above it instead"
    )


def none_found(sources: Sources, survey: Survey) -> InputError:
    """Make the error of a run without images."""
    if folder := sources.only_folder:
        return nothing_found(folder, survey)
    others = f" ({plural(survey.others.count, 'other file')})" if survey.others.count else ""
    return InputError(
        f"no image in {sources.named}{others}.\n"
        "Next: name a source with images, or try: hambatch samples ./samples"
    )


class _Walk:
    """The images of one source."""

    def __init__(
        self,
        number: int,
        source: Source,
        sources: Sources,
        survey: Survey,
        leave: list[Path],
        columns: Cells,
        leave_out: Callable[[Path], bool] | None,
    ) -> None:
        self._number, self._source, self._sources = number, source, sources
        self._survey, self._leave, self._columns = survey, leave, columns
        self._leave_out, self.found_any = leave_out, False

    def entries(self) -> Iterator[Entry]:
        """Yield the images."""
        kind, source = self._source.kind, self._source
        if kind is Kind.FILE:
            yield Entry(encode_name(source.label), self._number)
        elif kind is Kind.ARCHIVE:
            yield from self._of_archive(encode_name(source.label), source.path)
        elif kind is Kind.MANIFEST:
            yield from self._of_manifest(open_manifest(source.path))
        elif kind is Kind.STDIN:
            for path in read_paths(sys.stdin.buffer, null=self._sources.null):
                yield self._named(self._file(path))
        else:
            for path in self.paths():
                self.found_any = True
                yield from self._file_or_archive(path)

    def paths(self) -> Iterator[str]:
        """Yield the paths below a folder or a glob, archives that are scored among them."""
        source = self._source
        if source.kind is Kind.FOLDER:
            yield from self._below("")
            return
        matching = self._glob()
        for path in matching:
            # What a folder holds may match by itself, too.
            if matching.walked and not matching.walked.isdisjoint(_above(path)):
                continue
            if os.path.isdir(source.path / path):
                matching.walked.add(path)
                yield from self._below(path)
            else:
                yield path

    def _glob(self) -> Glob:
        source, follow = self._source, self._sources.follow_symlinks
        is_left = left_below(source.path, self._leave)
        return Glob(source.path, source.pattern, self._survey, is_left, follow_symlinks=follow)

    def _below(self, folder: str) -> Iterator[str]:
        survey = Survey()
        found = find_images(
            self._source.path / folder,
            survey,
            follow_symlinks=self._sources.follow_symlinks,
            leave=self._leave,
            archives=self._sources.archives,
        )
        for path in found:
            yield os.path.join(folder, path) if folder else path
        self._survey.join(survey, encode_name(f"{folder}/") if folder else "")

    def _file(self, path: str) -> Entry:
        return Entry(self._source.name_of(path), self._number)

    def _named(self, entry: Entry) -> Entry:
        """Take what somebody has named: a file, or a frame of one."""
        return as_frame(entry, self._sources)

    def _file_or_archive(self, path: str) -> Iterator[Entry]:
        where = self._source.path / path
        wanted = self._sources.archives or self._source.kind is Kind.GLOB
        # Whatever it begins with: a tar that lost its beginning may begin as an image.
        if wanted and is_named_like_an_archive(path):
            yield from self._of_archive(self._source.name_of(path), where)
        else:
            yield self._file(path)

    def _of_archive(self, name: str, path: Path) -> Iterator[Entry]:
        """Yield the members; last, where the archive is damaged, the archive itself."""
        if self._leave_out and self._leave_out(path):
            return
        limits, survey = ArchiveLimits(self._sources.max_ratio), self._survey
        nested = self._sources.archives
        for found in walk_archive(path, survey, limits, nested=nested, prefix=f"{name}!/"):
            inside = f"{name}{encode_name(f'!/{found.name}')}" if found.name else name
            yield Entry(
                inside,
                self._number,
                cut=len(name),
                member=found.member,
                problem=found.problem,
            )

    def _of_manifest(self, manifest: Manifest) -> Iterator[Entry]:
        where = {column: k for k, column in enumerate(manifest.carried)}
        order = [where.get(column) for column in self._columns if column]
        for row in manifest:
            entry = Entry(
                self._source.name_of(row.image),
                self._number,
                problem=row.problem,
                sha256=row.sha256,
                carried=tuple(None if k is None else row.cells[k] for k in order),
            )
            yield self._named(entry)


def _above(path: str) -> Iterator[str]:
    """Yield the folders that a path lies in, the innermost first; the empty one last."""
    while path:
        path = path.rpartition("/")[0]
        yield path
