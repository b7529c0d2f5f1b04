"""What `hw_decoder_load` changes: it splits a batch between two decoders whose pixels differ."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from hambatch.checks.parity.comparing import count_changed
from hambatch.checks.parity.paths import USUAL, Outcome, Run, ScoringPath

ALL_ON_CORES, HALF, HALF_BACKWARDS = "load 0", "load 0.5", "load 0.5, backwards"


@dataclass(frozen=True)
class LoadEffect:
    """What other loads change against 1, the default: all JPEGs go to the GPU's JPEG engine.

    Attributes
    ----------
    difference_of_0, difference_of_half
        The largest of a probability, with loads 0 and 0.5 against 1.
    as_1, as_0, as_both, as_neither
        Rows with load 0.5 that equal those with load 1, 0, both or neither.
    moved_by_place
        Rows with load 0.5 that change when the images are scored backwards.
    """

    path: str
    difference_of_0: float
    difference_of_half: float
    as_1: int
    as_0: int
    as_both: int
    as_neither: int
    moved_by_place: int


def load_runs(path: ScoringPath) -> list[Run]:
    """Score with other loads; their rows are reported and not judged."""
    none, half = (
        replace(path.options, decoder=replace(path.options.decoder, hw_decoder_load=load))
        for load in (0.0, 0.5)
    )
    return [
        Run(path, ALL_ON_CORES, none),
        Run(path, HALF, half),
        Run(path, HALF_BACKWARDS, half, backwards=True),
    ]


def effect_of(path: str, found: Mapping[str, Outcome]) -> LoadEffect | None:
    """Compare the runs of a path by name; None if one of them could not be done."""
    wanted = [found[name] for name in (USUAL, ALL_ON_CORES, HALF, HALF_BACKWARDS)]
    done = [rows for rows in wanted if isinstance(rows, list)]
    if len(done) < len(wanted):
        return None
    by_engine, by_cores, half, backwards = done
    rows = zip(by_engine, by_cores, half, strict=True)
    like = [(found == engine, found == cores) for engine, cores, found in rows]
    return LoadEffect(
        path=path,
        difference_of_0=count_changed(by_engine, by_cores).max_difference,
        difference_of_half=count_changed(by_engine, half).max_difference,
        as_1=like.count((True, False)),
        as_0=like.count((False, True)),
        as_both=like.count((True, True)),
        as_neither=like.count((False, False)),
        moved_by_place=count_changed(half, backwards).rows,
    )
