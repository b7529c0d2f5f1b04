"""The seal of a table: whether the key that is named signed its bytes and its record's."""

from dataclasses import dataclass
from pathlib import Path

from hambatch.checks.verify.table import NEXT, Difference
from hambatch.sinks.columns import refusing_malformed
from hambatch.sinks.publish import record_path, seal_path
from hambatch.sinks.seal import find_flaws
from hambatch.system.signing_keys import PublicKey
from hambatch.system.text import encode_name


@dataclass(frozen=True)
class SealCheck:
    """What differs; ``said``: what was found of the seal; ``not_proven``: what stays open."""

    differences: list[Difference]
    said: str
    not_proven: str


def check_seal(table: Path, key: PublicKey | None) -> SealCheck:
    """Compare the seal with table, record and key; without a key only say whether there is one.

    Raises InputError if the table or the record cannot be read.
    """
    path = seal_path(table)
    if key is None:
        unknown = "who wrote table and record, as no key seals them"
        if path.exists():
            name = encode_name(path.name)
            unknown = f"who wrote table and record: {name} was not checked (--key PUBLIC_KEY)"
        return SealCheck([], "", unknown)
    with refusing_malformed(table, NEXT):
        flaws = list(find_flaws(table, record_path(table), path, key))
    if flaws:
        unknown = "who wrote table and record"
        found = [Difference("", *flaw) for flaw in flaws]
        return SealCheck(found, f"not sealed by the key {key.sha256}", unknown)
    return SealCheck(
        [],
        f"table and record are, byte for byte, what the key {key.sha256} sealed",
        "that whoever has the key scored honestly, or that this is the newest table of the files",
    )
