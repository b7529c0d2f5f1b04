"""Ed25519 keys in PEM files, as ``openssl genpkey -algorithm ed25519`` makes them."""

import hashlib
import os
import re
import shlex
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from hambatch.errors import InputError
from hambatch.system.files import open_regular, sha256_of_bytes
from hambatch.system.packages import require

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
        Ed25519PublicKey,
    )

LONGEST = 64 * 1024
"""Bytes that a key's file may have; a PEM file of an Ed25519 key has 119."""

MAKE_PRIVATE = "openssl genpkey -algorithm ed25519 -out night.key"
MAKE_PUBLIC = "openssl pkey -in night.key -pubout -out night.pub"

PRIVATE, PUBLIC, ENCRYPTED = "PRIVATE KEY", "PUBLIC KEY", "ENCRYPTED PRIVATE KEY"
"""Labels of PEM: PKCS #8 in the clear, SubjectPublicKeyInfo, PKCS #8 with a passphrase."""

_LABEL = re.compile(rb"-----BEGIN ([A-Z0-9 ]{1,40})-----")


@dataclass(frozen=True)
class PublicKey:
    """Checks signatures; ``sha256`` names the key: the hash of its DER form."""

    sha256: str
    key: "Ed25519PublicKey" = field(repr=False)

    def verifies(self, signature: bytes, message: bytes) -> bool:
        """Tell whether the private key that belongs to it signed the message."""
        from cryptography.exceptions import InvalidSignature

        try:
            self.key.verify(signature, message)
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True)
class SigningKey:
    """A private key, and the public one that belongs to it."""

    public: PublicKey
    key: "Ed25519PrivateKey" = field(repr=False)

    def sign(self, message: bytes) -> bytes:
        """Give the 64 bytes of a signature, of one message always the same (RFC 8032)."""
        return self.key.sign(message)

    def secret(self, purpose: bytes) -> bytes:
        """Give 64 bytes that only who has the key can make, always the same for a purpose."""
        return hashlib.sha512(self.sign(b"hambatch: a secret, format 1\n" + purpose)).digest()


def read_signing_key(path: Path) -> SigningKey:
    """Read a private key.

    Raises
    ------
    InputError
        If it is no Ed25519 key in PEM, has a passphrase, or other users may read or write it.
    MissingDependency
        If cryptography is not installed.
    """
    require("cryptography", extra="sign", purpose="--sign")
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    content, mode = _read(path, MAKE_PRIVATE)
    wanted = "an Ed25519 private key in PEM (PKCS #8)"
    if (label := _label_of(content)) == ENCRYPTED:
        raise _encrypted(path)
    if label != PRIVATE:
        raise _unfit(path, f"holds {_named(label)}", wanted, MAKE_PRIVATE)
    if mode & 0o077:
        raise _unfit(
            path,
            f"is open to other users (mode {mode:04o})",
            "a key that only you can read",
            f"chmod 600 {shlex.quote(str(path))}; if others may have read it, make another: "
            f"{MAKE_PRIVATE}",
        )
    with _refusing(path, wanted, MAKE_PRIVATE):
        key = load_pem_private_key(content, password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise _unfit(path, f"holds {_algorithm_of(key)}", wanted, MAKE_PRIVATE)
    return SigningKey(_public(key.public_key()), key)


def read_public_key(path: Path) -> PublicKey:
    """Read a public key; raises as :func:`read_signing_key` does."""
    require("cryptography", extra="sign", purpose="--key")
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    content, _ = _read(path, MAKE_PUBLIC)
    wanted = "the Ed25519 public key in PEM of the one that signed"
    if (label := _label_of(content)) in (PRIVATE, ENCRYPTED):
        name, public = (shlex.quote(str(one)) for one in (path, path.with_suffix(".pub")))
        make = f"openssl pkey -in {name} -pubout -out {public}, then --key {public}"
        raise _unfit(path, "holds a private key", wanted, make)
    if label != PUBLIC:
        raise _unfit(path, f"holds {_named(label)}", wanted, MAKE_PUBLIC)
    with _refusing(path, wanted, MAKE_PUBLIC):
        key = load_pem_public_key(content)
    if not isinstance(key, Ed25519PublicKey):
        raise _unfit(path, f"holds {_algorithm_of(key)}", wanted, MAKE_PUBLIC)
    return _public(key)


def _read(path: Path, make: str) -> tuple[bytes, int]:
    """Give the content of a key's file and its mode, both of the same open file."""
    try:
        with open_regular(path) as stream:
            mode = stat.S_IMODE(os.fstat(stream.fileno()).st_mode)
            content = stream.read(LONGEST + 1)
    except OSError as error:
        raise _unfit(
            path, f"cannot be read: {error.strerror}", "the file of a key", make
        ) from error
    if len(content) > LONGEST:
        raise _unfit(path, f"has more than {LONGEST} bytes", "the file of a key", make)
    return content, mode


@contextmanager
def _refusing(path: Path, wanted: str, make: str) -> Iterator[None]:
    from cryptography.exceptions import UnsupportedAlgorithm

    try:
        yield
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise _unfit(path, "cannot be read as a key", wanted, make) from error


def _label_of(content: bytes) -> str:
    """Give the label of the first part in PEM; empty if there is none."""
    if content.lstrip().startswith((b"ssh-", b"ecdsa-", b"sk-", b"---- BEGIN SSH2")):
        return "OPENSSH PUBLIC KEY"
    found = _LABEL.search(content)
    return found[1].decode() if found else ""


def _named(label: str) -> str:
    if label.startswith("OPENSSH"):
        return "an SSH key"
    if label == PUBLIC:
        return "a public key"
    return f"a part called {label}" if label else "no key in PEM"


def _algorithm_of(key: object) -> str:
    name = type(key).__name__.removesuffix("PrivateKey").removesuffix("PublicKey")
    return f"a key of another algorithm ({name})"


def _encrypted(path: Path) -> InputError:
    plain = shlex.quote(f"{path}.plain")
    return _unfit(
        path,
        "holds a key with a passphrase",
        "one without, as no run asks for a passphrase",
        f"openssl pkey -in {shlex.quote(str(path))} -out {plain}, then --sign {plain}",
    )


def _unfit(path: Path, found: str, wanted: str, next_step: str) -> InputError:
    return InputError(f"{path} {found}, wanted {wanted}.\nNext: {next_step}")


def _public(key: "Ed25519PublicKey") -> PublicKey:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    # What `openssl pkey -pubin -in night.pub -outform DER | sha256sum` prints.
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return PublicKey(sha256_of_bytes(der), key)
