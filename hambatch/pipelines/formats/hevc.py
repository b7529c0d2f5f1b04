"""HEVC as HEIC has it: units with a length before them, and a configuration beside them [1]_.

References
----------
.. [1] ITU-T H.265, 7.3.1 and 7.3.2.2; ISO/IEC 14496-15, 8.3.3.
"""

from collections.abc import Iterable, Iterator

from hambatch.pipelines.formats.stated import Unreadable

_SPS = 33
_PICTURES = 32
"""Types of units below it hold pixels."""

_LARGEST_UNIT = 64
"""Pixels by which what is coded may be wider or higher than what is shown."""


def sets_of(configuration: bytes) -> Iterator[bytes]:
    """Yield the units of a configuration (hvcC): parameter sets."""
    place = 23
    for _ in range(configuration[22]):
        count = int.from_bytes(configuration[place + 1 : place + 3])
        place += 3
        for _ in range(count):
            size = int.from_bytes(configuration[place : place + 2])
            yield configuration[place + 2 : place + 2 + size]
            place += 2 + size


def length_bytes(configuration: bytes) -> int:
    """Give how many bytes the length of a unit takes."""
    return (configuration[21] & 3) + 1


def units_of(data: bytes, width: int) -> Iterator[bytes]:
    """Yield the units of a picture; raises Unreadable if one is cut off."""
    place = 0
    while place < len(data):
        size = int.from_bytes(data[place : place + width])
        place += width
        if not size or place + size > len(data):
            raise Unreadable("incomplete: the picture of the HEIC is cut off")
        yield data[place : place + size]
        place += size


def type_of(unit: bytes) -> int:
    """Give the type of a unit."""
    return unit[0] >> 1 & 63


def has_pixels(unit: bytes) -> bool:
    """Tell whether a unit holds pixels."""
    return type_of(unit) < _PICTURES


def joined(units: Iterable[bytes], width: int) -> bytes:
    """Write units with their lengths."""
    return b"".join(len(unit).to_bytes(width) + unit for unit in units)


def lacking_units(data: bytes, configuration: bytes, where: str) -> str:
    """Say what a picture lacks: its pixels, their end, or what zero bytes stand for.

    Within a unit no three zero bytes follow each other, but at the end of a file they do.
    """
    found = False
    for unit in units_of(data, length_bytes(configuration)):
        if b"\0\0\0" in unit:
            return f"damaged: zero bytes stand in the compressed pixels of {where}"
        found = found or has_pixels(unit)
    return "" if found else f"incomplete: {where} has no pixels"


def size_of(configuration: bytes) -> tuple[int, int]:
    """Give width and height as coded; raises IndexError or Unreadable if they are not stated."""
    for unit in sets_of(configuration):
        if type_of(unit) == _SPS:
            return _size_in(unit.replace(b"\0\0\3", b"\0\0"))
    raise Unreadable("incomplete: HEIC without the size of its coded picture")


def is_padded(coded: tuple[int, int], stated: tuple[int, int]) -> bool:
    """Tell whether what is coded is what is stated, filled up to whole units."""
    return all(0 <= one - other < _LARGEST_UNIT for one, other in zip(coded, stated, strict=True))


def _size_in(unit: bytes) -> tuple[int, int]:
    bits, place = int.from_bytes(unit), 16
    last = 8 * len(unit)

    def number(count: int) -> int:
        nonlocal place
        place += count
        if place > last:
            raise IndexError("the parameter set ends")
        return bits >> last - place & (1 << count) - 1

    def golomb() -> int:
        zeros = 0
        while not number(1):
            zeros += 1
        return (1 << zeros) - 1 + number(zeros)

    number(4)
    layers = number(3)
    number(1 + 88 + 8)
    present = [number(2) for _ in range(8 if layers else 0)][:layers]
    for one in present:
        number(88 * (one >> 1) + 8 * (one & 1))
    golomb()
    if golomb() == 3:
        number(1)
    return golomb(), golomb()
