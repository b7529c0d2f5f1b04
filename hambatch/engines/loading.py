"""Engine folders: found by name or path, opened with every hash checked, closed when made."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path

import hambatch
from hambatch.engines.manifest import (
    CARD,
    MANIFEST_NAME,
    EngineFile,
    Manifest,
    Variant,
    identity_of,
    read_manifest,
)
from hambatch.engines.onnx_file import external_files
from hambatch.errors import EngineError
from hambatch.system.files import (
    refusing,
    sha256_of_bytes,
    sha256_of_file,
    write_bytes,
    write_json,
    write_text,
)


def engines_folder() -> Path:
    """Folder of the engines that came with the package.

    A wheel carries them inside the package; a checkout, and an editable
    install of one, has them beside it.
    """
    package = Path(hambatch.__file__).resolve().parent
    installed = package / "default_engines"
    return installed if installed.is_dir() else package.parent / "engines"


def installed_engines() -> list[Path]:
    """Folders with an ``engine.json``, sorted by name."""
    return sorted(path.parent for path in engines_folder().glob(f"*/{MANIFEST_NAME}"))


def find_engine(name_or_path: str) -> Path:
    """Resolve ``--engine NAME|PATH`` to a folder.

    A name without ``/`` is first that of an installed engine: a folder of the same name among
    the images does not replace it.

    Raises EngineError if it is neither a folder with an ``engine.json`` nor an installed name.
    """
    path, installed = Path(name_or_path), engines_folder() / name_or_path
    for folder in (path, installed) if os.sep in name_or_path else (installed, path):
        if (folder / MANIFEST_NAME).is_file():
            return folder.resolve()
    names = [folder.name for folder in installed_engines()]
    near = get_close_matches(name_or_path, names, 1)
    raise EngineError(
        f"no engine {name_or_path!r}: it is neither a folder with an {MANIFEST_NAME} "
        f"nor one of the installed engines ({', '.join(names) or 'none'}).\n"
        + (f"Did you mean {near[0]!r}? " if near else "")
        + "Next: hambatch engines list"
    )


def engine_word(folder: Path) -> str:
    """Give what finds an engine from any folder: its name where it is installed, else its path."""
    installed = any(found.samefile(folder) for found in installed_engines())
    return folder.name if installed else str(folder)


Stamp = tuple[int, int, int]
"""Size, mtime and ctime of a file. No inode: some network file systems number files anew."""


@dataclass(frozen=True)
class Engine:
    """A verified engine folder; ``manifest_sha256`` is that of :func:`identity_of`.

    ``stamps`` are those of the files when they were verified; None of an optional one that is
    not there.
    """

    folder: Path
    manifest: Manifest
    manifest_sha256: str
    stamps: Mapping[str, Stamp | None] = field(default_factory=dict)

    def variant(self, precision: str) -> Variant:
        """Find the graph of one precision; raises EngineError if the engine has none."""
        return self.manifest.variant(precision)

    def external_data(self, precision: str) -> list[str]:
        """Name the files beside a graph that hold weights of it, each with a sha256; usually none.

        To be called before a graph is loaded. Raises EngineError if the graph is no ONNX model, or
        reads a file that engine.json does not name.
        """
        path = self.folder / self.variant(precision).file
        try:
            names = sorted(external_files(path))
        except ValueError as error:
            raise _damaged(f"{path} cannot be used as a graph: {error}, wanted ONNX") from error
        if unnamed := [name for name in names if name not in self.manifest.files]:
            raise EngineError(
                f"{path} reads weights from {unnamed[0]!r}, of which engine.json has no sha256; "
                "wanted all weights in the graph's own file, or in files that engine.json names.\n"
                "Next: hambatch export, which writes such graphs, or install hambatch again"
            )
        return names

    def refuse_replaced(self, precision: str) -> None:
        """Verify the files of a graph again if they were touched since they were verified.

        To be called after a graph is loaded. Raises EngineError as :func:`verify_file`.
        """
        for name in (self.variant(precision).file, *self.external_data(precision)):
            path = self.folder / name
            if not path.exists() or _stamp(path) != self.stamps.get(name):
                verify_file(self.folder, self.manifest, name)

    def graph_sha256(self, precision: str) -> str:
        """Hash of the graph of one precision and of its external data, if there is any."""
        files, data = self.manifest.files, self.external_data(precision)
        hashes = [files[name].sha256 for name in (self.variant(precision).file, *data)]
        return sha256_of_bytes("\n".join(hashes).encode()) if data else hashes[0]


def load_engine(folder: Path, identity: str = "") -> Engine:
    """Read the manifest and verify every file that it names.

    Processes of one run load the engine one after the other: ``identity`` is the one that the run
    began with; empty for any. Raises EngineError if it is another, or a file is missing (and not
    optional) or its sha256 differs.
    """
    manifest = read_manifest(folder)
    found = identity_of(folder)
    _refuse_other(folder, found, identity or found)
    stamps = {name: verify_file(folder, manifest, name) for name in manifest.files}
    _refuse_other(folder, identity_of(folder), found)
    return Engine(folder, manifest, found, stamps)


def _refuse_other(folder: Path, found: str, wanted: str) -> None:
    if found != wanted:
        raise EngineError(
            f"the engine in {folder} was replaced while it was in use: engine.json has sha256 "
            f"{found}, wanted {wanted}.\n"
            "Next: put back the engine that the command began with, or run it again from the start"
        )


def verify_file(folder: Path, manifest: Manifest, name: str) -> Stamp | None:
    """Raise EngineError if the file is missing (and not optional), or its size or sha256 differs.

    The size first: what is no file of the engine may be of any length. Gives what shows later
    whether the file was written or replaced since.
    """
    path, wanted = folder / name, manifest.files[name]
    is_half_written = name == CARD and (folder / CARD_BEFORE).is_file()
    following = REPEAT if is_half_written else REINSTALL
    if not path.is_file():
        if wanted.optional:
            return None
        raise _damaged(f"{path} is missing, engine.json names it", following)
    if (size := path.stat().st_size) != wanted.bytes:
        raise _damaged(
            f"{path} is not the file that the engine was made with: "
            f"{size:,} bytes, wanted {wanted.bytes:,}",
            following,
        )
    try:
        stamp = _stamp(path)
        found = sha256_of_file(path)
    except OSError as error:
        raise _damaged(f"{path} cannot be read: {error.strerror}") from error
    if found != wanted.sha256:
        raise _damaged(
            f"{path} is not the file that the engine was made with: "
            f"sha256 {found}, wanted {wanted.sha256}",
            following,
        )
    return stamp


def _stamp(path: Path) -> Stamp:
    found = path.stat()
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns


REINSTALL = "install hambatch again, or train the engine again"

REPEAT = (
    "run the command that was interrupted again (hambatch engines add-figures, remove-figures or "
    "calibrate): it puts the old card back first"
)


def _damaged(problem: str, following: str = REINSTALL) -> EngineError:
    return EngineError(f"{problem}.\nNext: {following}")


CARD_BEFORE = f".{CARD}.before"
"""The card that ``engine.json`` names, as long as another one is being put in its place."""


@contextmanager
def replacing_card(folder: Path, text: str) -> Iterator[None]:
    """Write another card; the block writes the ``engine.json`` that names it.

    After an exception the card is again the one that ``engine.json`` names. After a kill
    :func:`restore_card` makes it so. Raises InputError if the folder cannot be written to.
    """
    write_bytes(folder / CARD_BEFORE, (folder / CARD).read_bytes())
    try:
        write_text(folder / CARD, text)
        yield
    finally:
        restore_card(folder)


def restore_card(folder: Path) -> None:
    """Put the old card back if a command was killed before ``engine.json`` named the new one."""
    before = folder / CARD_BEFORE
    if not before.is_file():
        return
    named = read_manifest(folder).files.get(CARD)
    with refusing(before):
        if named is not None and sha256_of_file(before) == named.sha256:
            os.replace(before, folder / CARD)
        else:
            before.unlink()


OPTIONAL_FILES = frozenset({"model.weights.h5"})
"""May be absent where an engine is used: large, and needed by the reference only."""


def write_manifest(folder: Path, manifest: Manifest) -> Manifest:
    """Hash the folder's files, write ``engine.json`` after all of them, and read it back.

    Hidden files and folders inside are no part of an engine; nothing reads them.
    An optional file that ``manifest`` names and that is not here keeps its entry.
    Raises EngineError if a graph that ``manifest`` names is not in the folder.
    """
    files = {name: entry for name, entry in manifest.files.items() if entry.optional}
    for path in folder.iterdir():
        if path.is_file() and path.name != MANIFEST_NAME and not path.name.startswith("."):
            optional = path.name in OPTIONAL_FILES
            files[path.name] = EngineFile(sha256_of_file(path), path.stat().st_size, optional)
    for variant in manifest.variants:
        if variant.file not in files:
            raise EngineError(
                f"{folder / variant.file} is missing: the {variant.precision} graph is to be "
                "written before engine.json.\nNext: hambatch export, or hambatch train"
            )
    manifest = replace(manifest, files=dict(sorted(files.items())))
    write_json(folder / MANIFEST_NAME, manifest.to_json())
    return read_manifest(folder)
