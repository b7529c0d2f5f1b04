"""Damaged JPEGs, each one again from (bases, seed, k).

Kinds take turns, so that every count of mutants holds about as many of each.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tests.faults import byte_damage, header_edits

Mutation = Callable[[np.random.Generator, bytes, bytes], bytes]

KINDS: dict[str, Mutation] = {
    function.__name__: function
    for function in (
        byte_damage.entropy_bits,
        byte_damage.any_bits,
        byte_damage.header_bits,
        byte_damage.cut,
        byte_damage.cut_with_end,
        byte_damage.splice,
        byte_damage.splice_scan,
        byte_damage.two_in_one,
        byte_damage.insert_run,
        byte_damage.delete_run,
        byte_damage.lost_sector,
        byte_damage.trailing_bytes,
        header_edits.dimensions,
        header_edits.bomb,
        header_edits.components,
        header_edits.quantisation,
        header_edits.huffman,
        header_edits.marker_length,
        header_edits.restart_interval,
        header_edits.exif_orientation,
        header_edits.two_exif_blocks,
        header_edits.duplicated_segment,
        header_edits.dropped_segment,
        header_edits.foreign_segment,
    )
}

ATTEMPTS = 100
"""Draws until one changes the file; two or three are plenty but for tiny headers."""


@dataclass(frozen=True)
class Mutant:
    """A damaged file: number ``k`` of its seed, made of ``bases[base]`` and ``bases[other]``."""

    k: int
    kind: str
    base: int
    other: int
    content: bytes


def mutant(bases: Sequence[bytes], seed: int, k: int) -> Mutant:
    """Damage one of ``bases``, whole JPEGs; the result differs from all of them.

    Raises
    ------
    ValueError
        If a base is no JPEG whose parts can be found.
    """
    rng = np.random.default_rng([seed, k])
    kind = list(KINDS)[k % len(KINDS)]
    for _ in range(ATTEMPTS):
        base, other = (int(n) for n in rng.integers(len(bases), size=2))
        content = KINDS[kind](rng, bases[base], bases[other])
        if content not in bases:
            return Mutant(k, kind, base, other, content)
    raise ValueError(f"{kind} changed nothing in {ATTEMPTS} attempts, seed {seed}, k {k}")
