"""Opening an engine folder: nothing is used before its hash is right."""

from dataclasses import dataclass
from pathlib import Path

from hambatch.engines.manifest import MANIFEST_NAME, Manifest, Variant, read_manifest
from hambatch.errors import EngineError
from hambatch.hashing import sha256_of_file


@dataclass(frozen=True)
class Engine:
    """A verified engine folder."""

    folder: Path
    manifest: Manifest
    manifest_sha256: str

    def variant(self, precision: str) -> Variant:
        """Find the graph of one precision.

        Raises
        ------
        EngineError
            If the engine has no such graph.
        """
        return self.manifest.variant(precision)


def load_engine(folder: Path) -> Engine:
    """Read the manifest and verify every file that it names.

    Raises
    ------
    EngineError
        If a file is missing (and not optional) or its sha256 differs.
    """
    manifest = read_manifest(folder)
    for name, wanted in manifest.files.items():
        path = folder / name
        if not path.is_file():
            if wanted.optional:
                continue
            raise EngineError(
                f"{path} is missing, engine.json names it.\n"
                "Next: install hambatch again, or train the engine again"
            )
        found = sha256_of_file(path)
        if found != wanted.sha256:
            raise EngineError(
                f"{path} is not the file that the engine was made with: "
                f"sha256 {found}, wanted {wanted.sha256}.\n"
                "Next: install hambatch again, or train the engine again"
            )
    return Engine(folder, manifest, sha256_of_file(folder / MANIFEST_NAME))
