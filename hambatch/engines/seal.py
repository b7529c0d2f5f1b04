"""What `engine.json` says is what was written: its own SHA-256, as it names those of the others."""

import json
from typing import Any

from hambatch.hashing import sha256_of_bytes

SEAL = "sha256"


def sealed(values: dict[str, Any]) -> dict[str, Any]:
    """Add the seal of JSON-able ``values``, in the place of any that they have."""
    return {**values, SEAL: seal_of(values)}


def seal_of(values: dict[str, Any]) -> str:
    """Hash all values but the seal itself, whatever their order and the white space.

    SHA-256, lowercase hexadecimal, of the values as JSON in ASCII: keys sorted, no spaces.
    """
    others = {name: value for name, value in values.items() if name != SEAL}
    text = json.dumps(others, sort_keys=True, separators=(",", ":"))
    return sha256_of_bytes(text.encode("ascii"))


def broken(values: dict[str, Any]) -> str | None:
    """Say how values as read differ from those that were written; an old file has no seal."""
    found = seal_of(values)
    wanted = values.get(SEAL, found)
    if wanted == found:
        return None
    return f"it was changed after it was written: its values have sha256 {found}, not {wanted!r}"
