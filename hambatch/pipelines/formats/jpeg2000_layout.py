"""How the packets of a JPEG 2000 are laid out: codings, resolutions, precincts, the order [1]_.

References
----------
.. [1] ITU-T T.800, A.6, B.5 to B.7 and B.12.
"""

import struct
from collections.abc import Iterator
from itertools import product
from typing import NamedTuple

from hambatch.pipelines.formats.jpeg2000 import COC, COD, QCD, Size
from hambatch.pipelines.formats.stated import Unreadable

_LRCP, _RLCP, _RPCL, _PCRL, _CPRL = range(5)
_HAS_PRECINCTS = 1
_QCC, _RGN = 0x5D, 0x5E


class Coding(NamedTuple):
    """How the packets of a component, or of all, are laid out."""

    marks: int
    order: int
    layers: int
    levels: int
    block: tuple[int, int]
    style: int
    precincts: tuple[tuple[int, int], ...]
    """Exponents of width and height, by resolution."""


class Planes(NamedTuple):
    """How many bit planes the bands of a component have at most: guard bits, and exponents.

    With ``derived`` there is an exponent of the first band alone.
    """

    guard: int
    exponents: tuple[int, ...]
    derived: bool

    def of(self, r: int, band: int) -> int:
        """Give the number for a band of resolution ``r``."""
        if self.derived:
            return self.guard + self.exponents[0] - max(r - 1, 0) - 1
        return self.guard + self.exponents[3 * (r - 1) + 1 + band if r else 0] - 1


def codings_of(
    segments: list[tuple[int, bytes]], known: dict[int, Coding], count: int
) -> dict[int, Coding]:
    """Give the coding of each component: what is said of one counts before what is said of all."""
    found, own = dict(known), {}
    for marker, data in segments:
        if marker == COD:
            marks, order, layers = struct.unpack_from(">BBH", data)
            found = dict.fromkeys(range(count), _coding(data, 5, marks, (marks, order, layers)))
        elif marker == COC:
            wide = 2 if count > 256 else 1
            own[int.from_bytes(data[:wide])] = data[wide:]
    for component, data in own.items():
        if component not in found:
            raise Unreadable("incomplete: JPEG 2000 without a whole header")
        said = found[component]
        marks = said.marks & ~_HAS_PRECINCTS | data[0] & _HAS_PRECINCTS
        found[component] = _coding(data, 1, marks, (marks, said.order, said.layers))
    if len(found) != count:
        raise Unreadable("incomplete: JPEG 2000 without a whole header")
    return found


def planes_of(
    segments: list[tuple[int, bytes]], known: dict[int, Planes], count: int
) -> dict[int, Planes]:
    """Give the planes of each component, as :func:`codings_of` does; none with a marked region."""
    found, own, shifted = dict(known), {}, False
    for marker, data in segments:
        if marker == QCD:
            found = dict.fromkeys(range(count), _planes_in(data))
        elif marker == _QCC:
            wide = 2 if count > 256 else 1
            own[int.from_bytes(data[:wide])] = _planes_in(data[wide:])
        shifted = shifted or marker == _RGN
    return {} if shifted else found | own


def _planes_in(data: bytes) -> Planes:
    kind, guard = data[0] & 31, data[0] >> 5
    if kind == 0:
        exponents = tuple(byte >> 3 for byte in data[1:])
    else:
        exponents = tuple(byte >> 3 for byte in data[1::2])
    return Planes(guard, exponents, kind == 1)


def _coding(data: bytes, start: int, marks: int, said: tuple[int, int, int]) -> Coding:
    levels, width, height, style = struct.unpack_from(">BBBB", data, start)
    if levels > 32:
        raise Unreadable(f"damaged: JPEG 2000 of {levels} levels")
    precincts = tuple((15, 15) for _ in range(levels + 1))
    if marks & _HAS_PRECINCTS:
        sizes = data[start + 5 : start + 6 + levels]
        precincts = tuple((size & 15, size >> 4) for size in sizes)
        if len(precincts) != levels + 1:
            raise Unreadable("incomplete: JPEG 2000 without a whole header")
    block = (width & 15) + 2, (height & 15) + 2
    return Coding(*said, levels, block, style, precincts)


_Edges = tuple[int, int, int, int]
"""Left, top, right, bottom."""


class Resolution(NamedTuple):
    """One resolution of a component in a tile: its precincts, and the bands that it holds.

    ``bands`` are left, top, right, bottom of each; ``first`` and ``counts`` say which precincts
    there are, ``size`` how large they are in a band, as exponents, and ``block`` the code blocks.
    ``steps`` are the distances of precincts on the reference grid, ``corner`` the tile's.
    """

    component: int
    number: int
    coding: Coding
    bands: tuple[_Edges, ...]
    first: tuple[int, int]
    counts: tuple[int, int]
    size: tuple[int, int]
    block: tuple[int, int]
    steps: tuple[int, int]
    corner: tuple[int, int]

    @property
    def precincts(self) -> int:
        """How many precincts it holds."""
        return self.counts[0] * self.counts[1]

    @property
    def blocks(self) -> int:
        """About how many code blocks it holds."""
        across, down = self.block
        return sum(
            ((right - left >> across) + 1) * ((bottom - top >> down) + 1)
            for left, top, right, bottom in self.bands
        )

    def position(self, k: int) -> tuple[int, int]:
        """Give where precinct number ``k`` begins on the reference grid, row first."""
        across, down = k % self.counts[0], k // self.counts[0]
        x = max(self.corner[0], (self.first[0] + across) * self.steps[0])
        return max(self.corner[1], (self.first[1] + down) * self.steps[1]), x

    def grids(self, k: int) -> Iterator[tuple[int, tuple[int, int]]]:
        """Yield the bands that have code blocks in a precinct, and how many across and down."""
        column = self.first[0] + k % self.counts[0]
        row = self.first[1] + k // self.counts[0]
        (wide, high), (across, down) = self.size, self.block
        for band, (left, top, right, bottom) in enumerate(self.bands):
            x0, x1 = max(left, column << wide), min(right, column + 1 << wide)
            y0, y1 = max(top, row << high), min(bottom, row + 1 << high)
            if x0 < x1 and y0 < y1:
                columns = -(-x1 >> across) - (x0 >> across)
                yield band, (columns, -(-y1 >> down) - (y0 >> down))


def resolutions_of(size: Size, number: int, codings: dict[int, Coding]) -> Iterator[Resolution]:
    """Yield the resolutions of every component of a tile, the lowest first."""
    column, row = number % size.tiles_across, number // size.tiles_across
    left = max(size.tiles_left + column * size.tile_width, size.left)
    top = max(size.tiles_top + row * size.tile_height, size.top)
    right = min(size.tiles_left + (column + 1) * size.tile_width, size.right)
    bottom = min(size.tiles_top + (row + 1) * size.tile_height, size.bottom)
    for component, (_, x, y) in enumerate(size.components):
        edges = (-(-left // x), -(-top // y), -(-right // x), -(-bottom // y))
        coding = codings[component]
        for r in range(coding.levels + 1):
            yield _resolution(component, r, coding, edges, (x, y), (left, top))


def _resolution(
    component: int,
    r: int,
    coding: Coding,
    edges: _Edges,
    steps: tuple[int, int],
    corner: tuple[int, int],
) -> Resolution:
    down_by = coding.levels - r
    wide, high = coding.precincts[r]
    x0, y0, x1, y1 = (-(-edge >> down_by) for edge in edges)
    first = x0 >> wide, y0 >> high
    across = -(-x1 >> wide) - first[0] if x1 > x0 else 0
    down = -(-y1 >> high) - first[1] if y1 > y0 else 0
    bands: tuple[_Edges, ...] = ((x0, y0, x1, y1),)
    if r > 0:
        wide, high = wide - 1, high - 1
        if wide < 0 or high < 0:
            raise Unreadable("damaged: JPEG 2000 of precincts without a size")
        bands = tuple(_band(edges, down_by + 1, x, y) for x, y in ((1, 0), (0, 1), (1, 1)))
    block = min(coding.block[0], wide), min(coding.block[1], high)
    scale = coding.precincts[r]
    grid = steps[0] << scale[0] + down_by, steps[1] << scale[1] + down_by
    counts = across, down
    return Resolution(component, r, coding, bands, first, counts, (wide, high), block, grid, corner)


def _band(edges: _Edges, level: int, x: int, y: int) -> _Edges:
    left, top, right, bottom = edges
    half = 1 << level - 1

    def part(edge: int, is_high: int) -> int:
        return -(-(edge - is_high * half) >> level)

    return part(left, x), part(top, y), part(right, x), part(bottom, y)


Packet = tuple[int, Resolution, int]
"""Layer, resolution, precinct."""


def packets_of(resolutions: list[Resolution]) -> Iterator[Packet]:
    """Yield the packets of a tile in the order in which the file holds them."""
    coding = resolutions[0].coding
    layers = range(coding.layers)
    most = 1 + max(one.number for one in resolutions)
    by_number: list[list[Resolution]] = [[] for _ in range(most)]
    for one in resolutions:
        by_number[one.number].append(one)
    if coding.order == _LRCP:
        for layer, several in product(layers, by_number):
            yield from ((layer, one, k) for one in several for k in range(one.precincts))
    elif coding.order == _RLCP:
        for several, layer in product(by_number, layers):
            yield from ((layer, one, k) for one in several for k in range(one.precincts))
    elif coding.order in (_RPCL, _PCRL, _CPRL):
        every = [(one, k) for one in resolutions for k in range(one.precincts)]
        for one, k in sorted(every, key=lambda pair: _rank(coding.order, *pair)):
            yield from ((layer, one, k) for layer in layers)
    else:
        raise Unreadable(f"damaged: JPEG 2000 of the progression {coding.order}")


def _rank(order: int, one: Resolution, k: int) -> tuple[int, ...]:
    place = one.position(k)
    if order == _RPCL:
        return (one.number, *place, one.component, k)
    if order == _PCRL:
        return (*place, one.component, one.number, k)
    return (one.component, *place, one.number, k)
