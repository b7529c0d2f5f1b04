"""Defaults of `verify`, `parity` and `engines tune`: option name = field name."""

from dataclasses import dataclass
from pathlib import Path

from hambatch.engines.options import DEFAULT_ENGINE
from hambatch.scoring.options import ScoreOptions


@dataclass(frozen=True)
class VerifyOptions:
    """`hambatch verify`.

    ``engine`` None: the one that the record names; ``seed`` None: random; ``key`` None: a seal is
    not checked. ``null``: paths on stdin end with NUL, as for `score`.
    """

    engine: str | None = None
    null: bool = False
    sample: int = 32
    seed: int | None = None
    key: Path | None = None


@dataclass(frozen=True)
class ParityOptions:
    """`hambatch parity`; ``precision`` ``auto``: all that the engine and the machine have."""

    engine: str = DEFAULT_ENGINE
    device: str = ScoreOptions.device
    precision: str = ScoreOptions.precision
    count: int = 64


@dataclass(frozen=True)
class TuneOptions:
    """`hambatch engines tune`.

    No label that changes among 600 says, with 95 % confidence, that at most 0.5 % do: BF16's limit.
    """

    engine: str = DEFAULT_ENGINE
    count: int = 600
