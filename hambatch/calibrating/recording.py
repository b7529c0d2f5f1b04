"""Writing a calibration into `engine.json`, and its section into the card."""

from dataclasses import replace

from hambatch.atomic import write_text
from hambatch.engines.calibration_spec import Calibration
from hambatch.engines.calibration_text import with_section
from hambatch.engines.loading import Engine, load_engine
from hambatch.engines.manifest import MANIFEST_NAME, Manifest
from hambatch.engines.writing import write_manifest
from hambatch.errors import EngineError

CARD = "card.md"


def record_calibration(engine: Engine, calibration: Calibration) -> Manifest:
    """Put it in place of the one before; graphs, known pictures and gates stay as they are.

    A kill between card and ``engine.json`` leaves an engine that loading refuses until the card
    is put back.

    Raises
    ------
    EngineError
        If a file has changed since the engine was loaded.
    InputError
        If the folder cannot be written to.
    """
    # Every file is hashed anew below: none may have changed.
    if load_engine(engine.folder).manifest_sha256 != engine.manifest_sha256:
        raise EngineError(
            f"{engine.folder / MANIFEST_NAME} changed while the temperature was fitted.\n"
            "Next: run the same command again"
        )
    manifest = replace(engine.manifest, calibration=calibration)
    card = engine.folder / CARD
    if CARD in manifest.files and card.is_file():
        write_text(card, with_section(card.read_text(encoding="utf-8"), manifest))
    return write_manifest(engine.folder, manifest)
