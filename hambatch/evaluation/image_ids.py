"""What joins predictions with truth: the image_id."""

from hambatch.names import decode_name, encode_name


def image_id_of(image: str) -> str:
    """Return the stem of the last component of an ``image`` that `score` wrote.

    Percent-encoding is brought to the one form of :mod:`hambatch.names`, so
    the result is valid UTF-8 whatever the file was called.

    >>> image_id_of("part_1/ISIC_0024306.jpg"), image_id_of("a.zip!/b/c.d.png")
    ('ISIC_0024306', 'c.d')
    """
    name = decode_name(image).rpartition("/")[2]
    before, _, after = name.rpartition(".")
    return encode_name(before or after)


def canonical_id(image_id: str) -> str:
    """Bring a plain image_id, which has no folder and no suffix, to the same form."""
    return encode_name(image_id)
