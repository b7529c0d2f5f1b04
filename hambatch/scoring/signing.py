"""Signing in a run: the key of ``--sign``, which rows it may seal, and what becomes of the seal."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hambatch.errors import InputError
from hambatch.scoring.journal.folder import Journal
from hambatch.sinks.publish import outputs_of, record_path, seal_path
from hambatch.sinks.seal import find_flaws
from hambatch.system.files import open_regular, refusing, showing_refusals, sync
from hambatch.system.signing_keys import PublicKey, SigningKey, read_signing_key
from hambatch.system.text import encode_name


def read_key(path: Path | None, out: Path) -> SigningKey | None:
    """Read the key of ``--sign``, before any work; None: the table gets no seal.

    Raises InputError if it cannot sign, or an output would be written over it.
    """
    if path is None:
        return None
    for output in outputs_of(out):
        if output.exists() and path.exists() and output.samefile(path):
            raise InputError(
                f"--sign {path} is an output of this run ({output.name}), wanted the file of a "
                "key.\nNext: name another --out"
            )
    return read_signing_key(path)


def is_sealed(out: Path, key: PublicKey) -> bool:
    """Tell whether the key sealed the table and the record that are there now."""
    try:
        return not list(find_flaws(out, record_path(out), seal_path(out), key))
    except OSError:
        return False


def bind_key(journal: Journal, out: Path, key: SigningKey | None, *, keeps_rows: bool) -> None:
    """Let the journal mark rows with the key, and refuse to sign rows that it did not seal.

    The journal of a run that keeps the rows of a table keeps which key sealed them. Raises
    InputError.
    """
    journal.secret = key.secret(b"rows of a journal") if key else b""
    if not journal.begun and keeps_rows:
        sealed = key is not None and is_sealed(out, key.public)
        journal.kept_under = key.public.sha256 if key and sealed else ""
    if key is not None and journal.kept_under not in (None, key.public.sha256):
        raise _refused_unsealed(out)


def _refused_unsealed(out: Path) -> InputError:
    return InputError(
        f"{out} had no seal that fits it, of the key that --sign names, when --retry-failed or "
        "--update began: the scored rows, which are kept, may be forged.\n"
        "Next: add --overwrite instead of --retry-failed or --update to score all of it again, or "
        "leave --sign out"
    )


@contextmanager
def table_to_keep(out: Path, key: SigningKey | None) -> Iterator[Path]:
    """Give the table, its record beside it, whose rows a retry or an update keeps.

    With a key it is a private copy, of which the key has sealed every byte: what lies at ``out``
    may be replaced after any look at it. Raises InputError if the seal does not fit.
    """
    if key is None:
        yield out
        return
    with tempfile.TemporaryDirectory(prefix="hambatch-") as place:
        copy = Path(place) / out.name
        with showing_refusals():
            for path, to in ((out, copy), (record_path(out), record_path(copy))):
                with open_regular(path) as found, to.open("xb") as stream:
                    shutil.copyfileobj(found, stream)
            if list(find_flaws(copy, record_path(copy), seal_path(out), key.public)):
                raise _refused_unsealed(out)
        yield copy


def settle_seal(out: Path, key: SigningKey | None) -> str:
    """Say what became of the seal; that of an earlier table no longer fits, and is removed."""
    path = seal_path(out)
    name = encode_name(path.name)
    if key:
        return f"sealed with the key {key.public.sha256}: {name}"
    if not path.exists():
        return ""
    with refusing(path):
        path.unlink()
        sync(path.parent)
    return f"{name}, the seal of the earlier table, was removed; --sign KEY makes a new one"
