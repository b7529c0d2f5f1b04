"""The JSON beside a plan: what it is, what it was built for, how it was tried."""

import json
import re
from dataclasses import asdict, dataclass, field
from typing import Any

from hambatch.plans.invariance import Invariance
from hambatch.plans.key import PlanKey
from hambatch.plans.typed import number, typed

FORMAT = 1


@dataclass(frozen=True)
class PlanRecord:
    """One plan.

    Attributes
    ----------
    engine
        Name of the engine that it was built from.
    built
        When, in UTC; it took ``seconds``.
    known_pictures
        How far the plan's answers are from the engine's record; empty if it has none.
    conversion
        How far FP16 is from FP32, of an FP16 plan; else empty.
    """

    key: PlanKey
    sha256: str
    size_bytes: int
    engine: str
    built: str
    seconds: float
    invariance: Invariance
    known_pictures: dict[str, Any] = field(default_factory=dict)
    conversion: dict[str, Any] = field(default_factory=dict)
    format: int = FORMAT

    @property
    def file(self) -> str:
        """Name of the plan's file: two builds of one key never write the same one."""
        return plan_file(self.key.name, self.sha256)

    def to_json(self) -> bytes:
        """Write all of it as JSON."""
        return json.dumps(asdict(self), indent=2, allow_nan=False).encode() + b"\n"


def plan_file(key_name: str, sha256: str) -> str:
    """Name the file of a plan's bytes."""
    return f"{key_name}-{sha256[:16]}.plan"


def read_record(content: bytes) -> PlanRecord:
    """Read a record.

    Raises
    ------
    ValueError
        If it is not one.
    """
    try:
        raw = json.loads(content)
        if raw["format"] != FORMAT:
            raise ValueError(f"its format is {raw['format']!r}, wanted {FORMAT}")
    except (KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"it is no object with a format: {error}") from error
    record = typed(PlanRecord, raw)
    if not re.fullmatch("[0-9a-f]{64}", record.sha256):
        raise ValueError(f"its sha256 is {record.sha256!r}, wanted 64 hexadecimal digits")
    if record.known_pictures:
        _check_numbers(record.known_pictures, "images", "max_difference", "tolerance")
    if record.conversion:
        values = record.conversion.get("values")
        _check_numbers(values if isinstance(values, dict) else {}, "max_difference")
    return record


def _check_numbers(answers: dict[str, Any], *names: str) -> None:
    for name in names:
        number(answers.get(name), name)
