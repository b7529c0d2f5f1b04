"""Small DICOM files, and what a listing of them says."""

from pathlib import Path

from hambatch.sources.entry import Entry
from hambatch.sources.listing import Listing, list_sources
from hambatch.sources.source import Sources, find_sources
from tests.conftest import jpeg_bytes
from tests.faults.dicom_writing import PHOTOGRAPH, encapsulated, pixels_of

__all__ = ["PHOTOGRAPH", "dicom", "entries", "listed", "names"]


def dicom(frames: int = 1, stored: int | None = None, **tags: object) -> bytes:
    """A file whose header says so many frames, of which some are stored."""
    streams = [jpeg_bytes(k) for k in range(frames if stored is None else stored)]
    said = {} if frames == 1 else {"NumberOfFrames": frames}
    return encapsulated(streams, [pixels_of(streams[0])], tags=said | tags)


def listed(place: Path, *words: Path, **how: object) -> tuple[Sources, Listing]:
    sources = find_sources(words, **how)  # type: ignore[arg-type]
    return sources, list_sources(sources, place / "listing")


def entries(place: Path, *words: Path, **how: object) -> dict[str, Entry]:
    return {entry.name: entry for entry in listed(place, *words, **how)[1].entries()}


def names(place: Path, *words: Path, **how: object) -> list[str]:
    return [*entries(place, *words, **how)]
