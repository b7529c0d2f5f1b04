"""Transfer syntaxes: how the pixels of a DICOM file are stored, and what decodes them."""

IMPLICIT, EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
DEFLATED, EXPLICIT_BIG = "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"

NATIVE = frozenset({IMPLICIT, EXPLICIT, DEFLATED, EXPLICIT_BIG})
"""Syntaxes of uncompressed pixels."""

JPEG = frozenset({"1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51"})
"""Baseline and extended: the frames are files that DALI decodes, if they have 8 bits."""

RLE = frozenset({"1.2.840.10008.1.2.5"})
JPEG_LOSSLESS = frozenset({"1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70"})
JPEG_LS = frozenset({"1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81"})
JPEG_2000 = frozenset(
    {"1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91"}
    | {f"1.2.840.10008.1.2.4.20{k}" for k in (1, 2, 3)}
)
"""The last three are its high-throughput variant."""

_BY: tuple[tuple[frozenset[str], str, str, str], ...] = (
    (RLE, "pydicom", "pydicom", "RLE"),
    (JPEG_LOSSLESS, "gdcm", "python-gdcm", "lossless JPEG"),
    (JPEG_LS, "pyjpegls", "pyjpegls", "JPEG-LS"),
    (JPEG_2000, "pylibjpeg", "pylibjpeg and pylibjpeg-openjpeg", "JPEG 2000"),
)

PLUGINS = {uid: (plugin, package, name) for uids, plugin, package, name in _BY for uid in uids}
"""Of each encapsulated syntax but JPEG: pydicom's name of the decoder, its package, our name.

One decoder each: with whatever is installed, two machines would give a file two rows.
"""


def named(uid: str) -> str:
    """Name a transfer syntax that is not supported; never the UID itself, which may be anything."""
    from pydicom.uid import UID

    uid = UID(uid)
    return uid.name if uid.is_transfer_syntax else "an unknown transfer syntax"
