"""SHA-256 of files and of bytes, in lowercase hexadecimal."""

import hashlib
from pathlib import Path


def sha256_of_file(path: Path) -> str:
    """Hash a file's content."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sha256_of_bytes(content: bytes) -> str:
    """Hash bytes already in memory."""
    return hashlib.sha256(content).hexdigest()
