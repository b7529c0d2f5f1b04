"""What comes into an engine after it was made and changes no score: figures, certificates.

Tables, records and journals of the engine stay its own:
:func:`~hambatch.engines.manifest.identity_of` leaves these fields out, and takes the card as it was
without them.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hambatch.engines.card_sections import with_sections
from hambatch.engines.certificates import Certificate
from hambatch.engines.loading import Engine, replacing_card
from hambatch.engines.manifest import (
    CARD,
    MANIFEST_NAME,
    EngineFile,
    Manifest,
    OtherImages,
    read_manifest,
)
from hambatch.engines.measurements import FiguresOn
from hambatch.errors import EngineError
from hambatch.system.files import CHECKSUM, sha256_of_bytes, with_checksum, write_json
from hambatch.system.schema import read_json_file

FIELDS = ("other_images", "certificates")
"""In the order of a :class:`Manifest`, before ``format``."""


def write_additions(
    engine: Engine,
    *,
    figures: tuple[FiguresOn, ...] | None = None,
    certificates: tuple[Certificate, ...] | None = None,
) -> None:
    """Write the card, then ``engine.json``, of which no other value changes; None: as they are.

    A kill between the two leaves an engine that loading refuses until
    :func:`~hambatch.engines.loading.restore_card` is called. Raises EngineError if another command
    wrote ``engine.json`` meanwhile, InputError if nothing can be written.
    """
    path, card = engine.folder / MANIFEST_NAME, engine.folder / CARD
    if read_manifest(engine.folder) != engine.manifest:
        raise EngineError(
            f"{path} changed while this command ran; wanted one command at a time.\n"
            "Next: run the same command again"
        )
    manifest = _with(engine.manifest, figures, certificates)
    values = read_json_file(path, dict[str, Any])
    known, files = values.get("other_images"), values["files"]
    # As it stands there: the identity of the engine is a hash of it.
    plain = known.get("card") if known else files.get(CARD)
    added: dict[str, Any] = {"certificates": [one.to_json() for one in manifest.certificates]}
    shown = manifest.other_images.figures if manifest.other_images else ()
    found = {"figures": [one.to_json() for one in shown], "card": plain}
    if plain is None or not card.is_file():
        write_json(path, _put(values, added | {"other_images": found if shown else None}))
        return
    text = with_sections(card.read_text(encoding="utf-8"), manifest, limits=figures is not None)
    new = entry_of(text)
    files[CARD] = plain | {"sha256": new.sha256, "bytes": new.bytes}
    is_plain = not shown and files[CARD]["sha256"] == plain["sha256"]
    if is_plain:
        files[CARD] = plain
    with replacing_card(engine.folder, text):
        write_json(path, _put(values, added | {"other_images": None if is_plain else found}))


def _with(
    manifest: Manifest,
    figures: tuple[FiguresOn, ...] | None,
    certificates: tuple[Certificate, ...] | None,
) -> Manifest:
    if figures is not None:
        manifest = replace(manifest, other_images=OtherImages(figures))
    return manifest if certificates is None else replace(manifest, certificates=certificates)


def _put(values: Mapping[str, Any], added: Mapping[str, Any]) -> dict[str, Any]:
    """Put fields where a :class:`Manifest` has them, those with content; renew any checksum."""
    items = [(name, value) for name, value in values.items() if name not in FIELDS]
    at = [name for name, _ in items].index("format")
    items[at:at] = [(name, added[name]) for name in FIELDS if added[name]]
    return with_checksum(dict(items)) if CHECKSUM in values else dict(items)


def entry_of(text: str) -> EngineFile:
    """Give the entry of a card with this text."""
    content = text.encode()
    return EngineFile(sha256_of_bytes(content), len(content))


def without_additions(found: OtherImages, manifest: Manifest, card: str) -> OtherImages:
    """Take the entry of the card anew, as it is without the figures and certificates."""
    bare = replace(manifest, other_images=None, certificates=())
    return replace(found, card=entry_of(with_sections(card, bare, limits=True)))
