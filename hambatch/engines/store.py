"""Where engines are found: by name among the installed ones, or by path."""

from pathlib import Path

import hambatch
from hambatch.engines.manifest import MANIFEST_NAME
from hambatch.errors import EngineError

DEFAULT_ENGINE = "ham10000-resnet50"


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
    """Resolve ``--engine NAME|PATH`` to a folder; a path wins over a name.

    Raises
    ------
    EngineError
        If it is neither a folder with an ``engine.json`` nor an installed name.
    """
    for folder in (Path(name_or_path), engines_folder() / name_or_path):
        if (folder / MANIFEST_NAME).is_file():
            return folder.resolve()
    names = ", ".join(folder.name for folder in installed_engines()) or "none"
    raise EngineError(
        f"no engine {name_or_path!r}: it is neither a folder with an {MANIFEST_NAME} "
        f"nor one of the installed engines ({names}).\n"
        "Next: hambatch engines list"
    )
