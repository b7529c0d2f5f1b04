"""What a machine gave for an engine's sentinels, kept privately: a run can begin at once then.

    $XDG_CACHE_HOME/hambatch/sentinels/KEY.json

KEY is the sha256 of all that the answers may depend on. The first run writes the file, after its
sentinels have matched the engine's record; later runs compare theirs with it: that shows a much
smaller drift than the record does, whose tolerance allows for other machines. `hambatch engines
verify` writes it anew. A file holds numbers only, and one that is damaged counts as missing.
"""

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from hambatch import __version__
from hambatch.backends import runtime_of
from hambatch.backends.placing import REQUEST_SIZE
from hambatch.engines.backend_names import BACKEND_OF_GATES, LIBRARIES, graph_precision
from hambatch.engines.classes import CLASSES
from hambatch.engines.loading import Engine
from hambatch.engines.sentinels import Probabilities
from hambatch.engines.synthetic import drawn_sentinels
from hambatch.pipelines.options import RULES
from hambatch.scoring.worker.protocol import Job
from hambatch.system.cache import (
    CacheRefused,
    keep_newest,
    key_of,
    private,
    read_private,
    user_cache,
    write_private,
)
from hambatch.system.cpu import cpu_name, instruction_set
from hambatch.system.files import CHECKSUM, as_json, checksum_of, sha256_of_bytes, with_checksum
from hambatch.system.packages import library_versions
from hambatch.system.schema import convert, decode

FOLDER = "sentinels"
"""In the user's cache."""

LARGEST_FILE = 50_000
"""Bytes; a file has about 2,000."""

SUFFIX = ".json"

KEPT = 64
"""Most files in the folder; the one used longest ago goes first."""

Numbers = NDArray[np.float64]

Answers = Mapping[int, tuple[Numbers, Numbers]]
"""Of each sentinel: probabilities and logits, ``[7]`` each."""

State = Literal["none", "made", "kept"]
"""Of a run: it kept no answers, it left its own, or it had those of an earlier one."""

Logits = Annotated[tuple[float, ...], Meta(min_length=len(CLASSES), max_length=len(CLASSES))]


@dataclass(frozen=True)
class _Answer:
    probabilities: Probabilities
    logits: Logits


@dataclass(frozen=True)
class _File:
    answers: tuple[_Answer, ...]
    format: Literal[1] = 1


class OwnAnswers:
    """The answers of this machine for the sentinels of an engine in one precision.

    Parameters
    ----------
    path
        Of the file; None: nothing is kept.
    count
        Of the sentinels; 0: whatever the file holds is to be replaced.

    Attributes
    ----------
    kept
        Those of an earlier run, or of this one; None if there are none yet.
    state
        What a record says of it.
    """

    def __init__(self, path: Path | None = None, count: int = 0) -> None:
        self._path = path
        self.kept = _read(path, count) if path and count else None
        self.state: State = "kept" if self.kept else "none"

    def keep(self, answers: Answers) -> None:
        """Keep a run's first answers for later ones, where that is possible; it never raises."""
        self.kept = dict(answers)
        if self._path and _written(self._path, answers):
            self.state = "made"


def own_answers(engine: Engine, job: Job, *, wanted: bool = True, anew: bool = False) -> OwnAnswers:
    """Find what is kept for what a job computes; nothing, unless OpenVINO does and it is wanted.

    Parameters
    ----------
    anew
        Take no account of what is kept: replace it.
    """
    folder = user_cache(FOLDER)
    if folder is None or job.backend != BACKEND_OF_GATES or not wanted:
        return OwnAnswers()
    count = len(engine.manifest.sentinels.pictures or drawn_sentinels())
    return OwnAnswers(folder / f"{_key(engine, job)}{SUFFIX}", 0 if anew else count)


def _key(engine: Engine, job: Job) -> str:
    """Hash everything that the answers may depend on."""
    manifest, versions = engine.manifest, library_versions()
    pictures = [manifest.files[one.file].sha256 for one in manifest.sentinels.pictures]
    return key_of(
        {
            "graph": engine.graph_sha256(graph_precision(job.precision)),
            "input": asdict(manifest.input),
            "preprocessing": asdict(manifest.preprocessing),
            "precision": job.precision,
            "pictures": pictures or [sha256_of_bytes(drawn) for drawn in drawn_sentinels()],
            "runtime": runtime_of(job.backend_name),
            "request_size": REQUEST_SIZE,
            "rules": RULES,
            "versions": {name: versions.get(name) for name in LIBRARIES[BACKEND_OF_GATES]},
            "hambatch": __version__,
            "instruction_set": instruction_set(),
            "processor": cpu_name(),
        }
    )


def _read(path: Path, count: int) -> Answers | None:
    """Read answers; None if there are none, or not all of them."""
    # Opening a private folder would make it.
    if not os.path.lexists(path):
        return None
    try:
        with private(path.parent) as place:
            raw = decode(read_private(place, path.name), LARGEST_FILE)
        if not isinstance(raw, dict) or raw.pop(CHECKSUM, "") != checksum_of(raw):
            return None
        found = convert(raw, _File, exact=True).answers
    except (CacheRefused, ValueError):
        return None
    if len(found) != count:
        return None
    return {
        number: (np.array(one.probabilities), np.array(one.logits))
        for number, one in enumerate(found)
    }


def _written(path: Path, answers: Answers) -> bool:
    ordered = [answers[number] for number in sorted(answers)]
    every = [_Answer(tuple(p.tolist()), tuple(logits.tolist())) for p, logits in ordered]
    content = as_json(with_checksum(asdict(_File(tuple(every))))).encode()
    with suppress(CacheRefused, OSError), private(path.parent) as place:
        write_private(place, path.name, content)
        keep_newest(place, SUFFIX, KEPT)
        return True
    return False
