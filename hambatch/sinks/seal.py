"""The seal of a table: a signature over the bytes of the table and of its record.

It is a small JSON file beside them. What is signed is :data:`DOMAIN` and, as JSON with sorted
keys, everything in the file but the signature: no signature made for another purpose fits.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from msgspec import Meta

from hambatch.engines.manifest import Sha256
from hambatch.system.files import as_json, open_regular, sha256_of_file
from hambatch.system.schema import convert, read_json
from hambatch.system.signing_keys import PublicKey, SigningKey

DOMAIN = b"hambatch: the seal of a table and its record, format 1\n"

LONGEST = 64 * 1024
"""Bytes that a seal may have: two names of 255 bytes, percent-encoded, and some hashes."""


@dataclass(frozen=True)
class SealedFile:
    """A file's name, encoded as in the table, and the hash of its bytes."""

    file: Annotated[str, Meta(min_length=1)]
    sha256: Sha256


@dataclass(frozen=True)
class Seal:
    """What ``preds.csv.seal.json`` holds; ``signature`` is Ed25519's (RFC 8032), in hex."""

    format: Literal[1]
    algorithm: Literal["ed25519"]
    hambatch: Annotated[str, Meta(min_length=1)]
    table: SealedFile
    record: SealedFile
    public_key_sha256: Sha256
    signature: Annotated[str, Meta(pattern=r"^[0-9a-f]{128}\Z")]

    @property
    def message(self) -> bytes:
        """The bytes that are signed."""
        signed = {name: value for name, value in asdict(self).items() if name != "signature"}
        return DOMAIN + json.dumps(signed, sort_keys=True, separators=(",", ":")).encode()


class Flaw(NamedTuple):
    """One thing in which a seal does not fit: what, what the seal says, and what was found."""

    what: str
    sealed: str = ""
    found: str = ""


def seal_of(version: str, table: SealedFile, record: SealedFile, key: SigningKey) -> str:
    """Sign a table and its record; ``version`` is hambatch's. The same parts give the same text."""
    unsigned = Seal(1, "ed25519", version, table, record, key.public.sha256, signature="")
    return as_json(asdict(replace(unsigned, signature=key.sign(unsigned.message).hex())))


def read_seal(path: Path) -> Seal:
    """Read a seal; raises OSError, or ValueError if no run writes such a file."""
    with open_regular(path) as stream:
        content = stream.read(LONGEST + 1)
    if len(content) > LONGEST:
        raise ValueError(f"it has more than {LONGEST} bytes")
    seal = convert(read_json(content, dict[str, Any]), Seal, exact=True)
    if as_json(asdict(seal)).encode() != content:
        raise ValueError("its bytes are not as a run writes them")
    return seal


def find_flaws(table: Path, record: Path, seal: Path, key: PublicKey) -> Iterator[Flaw]:
    """Yield what does not fit of a seal; nothing means that the key signed these very bytes.

    Names are not compared: files that are moved together keep their seal. Raises OSError if
    ``table`` or ``record`` cannot be read.
    """
    try:
        found = read_seal(seal)
    except OSError as error:
        yield Flaw("no seal", found=f"{seal.name}: {error.strerror}")
        return
    except ValueError as error:
        yield Flaw("seal: no run writes this", found=str(error))
        return
    if found.public_key_sha256 != key.sha256:
        yield Flaw("seal: made with another key", found.public_key_sha256, key.sha256)
    elif not key.verifies(bytes.fromhex(found.signature), found.message):
        yield Flaw("seal: its signature is not by the key over what it says")
    for what, path, sealed in (("table", table, found.table), ("record", record, found.record)):
        if (sha256 := sha256_of_file(path)) != sealed.sha256:
            yield Flaw(f"seal: made for another {what}", sealed.sha256, sha256)
