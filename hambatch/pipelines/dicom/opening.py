"""The head of the pipeline: of a DICOM that holds a JPEG only that JPEG goes on."""

import io
from dataclasses import replace
from functools import lru_cache

from hambatch.pipelines.dicom.syntaxes import JPEG
from hambatch.pipelines.pillow_lane import IN_VAIN
from hambatch.sources.content import HEAD_BYTES, JPEG_START, PNG_START, image_format
from hambatch.sources.dicom.header import digest_of, read_header, unvalidated
from hambatch.sources.reading import OTHER_IDENTIFIERS, Fetched, Limits


def is_dicom(content: bytes) -> bool:
    """Tell whether a file is a DICOM file, as far as its first bytes tell."""
    if content.startswith((JPEG_START, PNG_START)):
        return False
    return image_format(content[:HEAD_BYTES]) == "dicom"


def opened(file: Fetched, limits: Limits) -> Fetched:
    """Give a DICOM's frame in JPEG as a file of its own, with the hash of the DICOM file.

    Any other file stays as it is. A frame that cannot be used becomes the problem of the file, and
    so do identifiers that are not those of the listing: the row would name another patient.
    Raises MemoryError if memory is what is missing.
    """
    if file.identified and not file.problem and _identity_of(file.content) != file.identified:
        return replace(file, content=b"", problem=OTHER_IDENTIFIERS)
    if file.problem or not is_dicom(file.content):
        return file
    from hambatch.pipelines.dicom.image import parsed
    from hambatch.pipelines.dicom.jpeg_frame import jpeg_of

    try:
        image = parsed(file.content, limits, file.frame)
        if image.syntax not in JPEG:
            return file
        return replace(file, content=jpeg_of(image, file.frame))
    except IN_VAIN as error:
        return replace(file, content=b"", problem=str(error))


@lru_cache(maxsize=1)
def _identity_of(content: bytes) -> str:
    """Give the digest of a file's identifiers, read as for the listing; empty if it has none.

    For the frames of one file, whose ``content`` is one object, the header is read once.
    """
    if not is_dicom(content):
        return ""
    from hambatch.pipelines.dicom.elements import check_installed, refusing

    try:
        check_installed()
        with refusing("unreadable"), unvalidated():
            return digest_of(read_header(io.BytesIO(content), with_ids=True).identifiers)
    except IN_VAIN:
        return ""
