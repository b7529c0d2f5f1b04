"""The slow lane: one file at a time, first DALI alone, then Pillow.

Whatever happens to a file here happens to that file only.
"""

from dataclasses import dataclass, field, replace

import numpy as np

from hambatch.engines.manifest import InputSpec, Preprocessing
from hambatch.pipelines import pillow_lane
from hambatch.pipelines.dali_lane import DaliLane
from hambatch.pipelines.decoder_log import DecoderLog
from hambatch.pipelines.dicom.opening import is_dicom
from hambatch.pipelines.formats import opening, probes
from hambatch.pipelines.formats.table import Format, format_of
from hambatch.pipelines.formats.tiff_pixels import jpegs_of
from hambatch.pipelines.header import (
    is_cut_off,
    read_header,
    refusal,
    stated_pixels,
    without_extras,
)
from hambatch.pipelines.jpeg_codes import hole_of
from hambatch.pipelines.jpeg_scans import lacking_scans
from hambatch.pipelines.pillow_lane import IN_VAIN, Pixels, UndecodableImage
from hambatch.pipelines.png_parts import lacking_rows
from hambatch.pipelines.srgb import foreign_profile
from hambatch.sources.content import JPEG_START
from hambatch.sources.reading import UNLIMITED, Fetched, Limits
from hambatch.system.shortages import lacks_memory, refuse_without_room
from hambatch.types import Failure, on_host

Salvaged = tuple[Pixels, str]
"""uint8 RGB ``[height, width, 3]``, and who decoded it."""

_UNCONFIRMED = "no two decoders agree that it is whole"


class NotAlone(Exception):
    """A warning may be another file's: decode again while nothing else is decoded."""


@dataclass
class SlowLane:
    """Decodes single files; builds its DALI pipeline when the first one comes.

    Parameters
    ----------
    log
        What the decoders print.
    with_dali
        False where DALI has no wheel; damage inside a JPEG goes unnoticed then,
        as Pillow does not report libjpeg's warnings [1]_.

    References
    ----------
    .. [1] https://github.com/python-pillow/Pillow/issues/9106
    """

    spec: InputSpec
    how: Preprocessing
    limits: Limits = UNLIMITED
    log: DecoderLog = field(default_factory=DecoderLog)
    with_dali: bool = True
    _dali: DaliLane | None = field(default=None, init=False)
    _decoded: int = field(default=0, init=False)
    _of_sentinels: "SlowLane | None" = field(default=None, init=False)

    def decode(self, file: Fetched, *, alone: bool = True) -> Salvaged | Failure:
        """Decode one file, or say in a line why no decoder can.

        ``alone`` says that no other file is being decoded meanwhile; if it is not, raises
        NotAlone where the answer depends on it. Raises MemoryError if memory is what is missing.
        Of a sentinel, no limit counts.
        """
        if file.sentinel and self.limits != UNLIMITED:
            self._of_sentinels = self._of_sentinels or replace(self, limits=UNLIMITED)
            return self._of_sentinels.decode(file, alone=alone)
        if not file.problem and is_dicom(file.content):
            return self._of_dicom(file, alone)
        reason = file.problem or refusal(file.content, self.limits)
        if reason:
            return Failure(file.index, file.sha256, reason)
        try:
            return self._in_srgb(file.content, *self._strictly(file.content, alone))
        except IN_VAIN as error:
            _refuse_without_room(file.content)
            if not (self.limits.salvage_truncated and is_cut_off(file.content)):
                return Failure(file.index, file.sha256, str(error))
        if not alone:
            raise NotAlone
        try:
            with pillow_lane.tolerating_truncation():
                pixels = self._by_pillow(file.content)
                return self._in_srgb(file.content, pixels, "pillow-truncated")
        except IN_VAIN as error:
            return Failure(file.index, file.sha256, str(error))

    def _of_dicom(self, file: Fetched, alone: bool) -> Salvaged | Failure:
        """Decode a DICOM whose frames are no JPEG that DALI decodes."""
        from hambatch.pipelines.dicom.pixels import decoded

        earlier, reason = self.log.warning(), ""
        try:
            pixels, decoder = decoded(file.content, file.frame, self.limits)
            _refuse_empty(pixels)
        except IN_VAIN as error:
            reason = str(error)
        warning = self.log.warning()
        if not alone and (warning or earlier):
            raise NotAlone
        if reason or warning:
            return Failure(file.index, file.sha256, reason or f"damaged: {warning}")
        return self._resized(pixels), decoder

    def _in_srgb(self, content: bytes, pixels: Pixels, decoder: str) -> Salvaged:
        """Decode again where the file says that its colours are not sRGB; DALI ignores it."""
        if profile := foreign_profile(content):
            by = decoder if decoder.startswith("pillow") else "pillow"
            pixels, decoder = self._by_pillow(content, profile), f"{by}-icc"
        _refuse_empty(pixels)
        return pixels, decoder

    def _strictly(self, content: bytes, alone: bool) -> Salvaged:
        if other := format_of(content):
            return self._other(other, content, alone)
        header = read_header(content)
        if self.with_dali and header and not header.odd_exif:
            pixels, warning = self._by_dali(content, alone)
            if pixels is not None:
                if warning and self._damage(content, alone):
                    raise UndecodableImage(f"damaged: {warning}")
                _check_whole(content)
                return pixels, "dali-cpu"
        pixels = self._by_pillow(content)
        if damage := self._damage(content, alone):
            raise UndecodableImage(f"damaged: {damage}")
        _check_whole(content)
        return pixels, "pillow"

    def _other(self, other: Format, content: bytes, alone: bool) -> Salvaged:
        """Decode what is neither JPEG nor PNG with the one decoder of its format.

        What it lacks is looked for before, as far as the file says so, and behind, as far as only
        the decoder knows.
        """
        reason = opening.missing_decoder(content) or other.lacking(content)
        reason = reason or self._damage_within(content, alone)
        if reason:
            raise UndecodableImage(reason)
        pixels = self._resized(pillow_lane.full_size(content, self.how, self.limits))
        if reason := probes.lacking_when_decoded(content):
            raise UndecodableImage(reason)
        return pixels, opening.decoder_of(content)

    def _resized(self, pixels: Pixels) -> Pixels:
        """Resize as DALI does, where it is: to the very pixels that a PNG of the picture has."""
        if self.with_dali:
            height, width = pixels.shape[:2]
            start = b"P6 %d %d 255\n" % (width, height)
            found = self._pixels(b"".join([start, np.ascontiguousarray(pixels).data]))
            if found is not None:
                return found
        return pillow_lane.resize_linear(pixels, self.spec.height, self.spec.width)

    def _damage_within(self, content: bytes, alone: bool) -> str:
        """Say what DALI finds wrong with the JPEGs in a TIFF: libtiff reports nothing."""
        if self.with_dali:
            for jpeg in jpegs_of(content):
                _, warning = self._by_dali(without_extras(jpeg) or jpeg, alone)
                if warning:
                    return f"damaged: {warning}"
        return ""

    def _by_pillow(self, content: bytes, profile: bytes = b"") -> Pixels:
        return pillow_lane.decode(content, self.spec, self.how, self.limits, profile)

    def _damage(self, content: bytes, alone: bool) -> str:
        """Say what DALI finds wrong with the samples of a JPEG, its header put in order."""
        if not self.with_dali or not content.startswith(JPEG_START):
            # A PNG has checksums, which Pillow and DALI both verify.
            return ""
        plain = without_extras(content)
        if plain is None or read_header(plain) is None or refusal(plain, self.limits):
            return _UNCONFIRMED
        pixels, warning = self._by_dali(plain, alone)
        return warning or ("" if pixels is not None else _UNCONFIRMED)

    def _by_dali(self, content: bytes, alone: bool) -> tuple[Pixels | None, str]:
        """Give the pixels or None, and the warning that the decoder printed."""
        earlier = self.log.warning()
        pixels = self._pixels(content)
        warning = self.log.warning()
        if not alone and (warning or earlier):
            raise NotAlone
        return pixels, warning

    def _pixels(self, content: bytes) -> Pixels | None:
        self._dali = self._dali or DaliLane(1, 1, self.spec, self.how)
        self._decoded += 1
        try:
            self._dali.feed([Fetched(self._decoded, content, "")])
            indices, images = self._dali.collect()
            if indices.tolist() == [self._decoded]:
                pixels: Pixels = on_host(images)[0].copy()
                return pixels
        except RuntimeError as error:
            if lacks_memory(str(error)):
                raise MemoryError(str(error)) from error
            _refuse_without_room(content)
        # After an error, or pixels of another file, the pipeline's state is unknown: a new one
        # costs 10 ms.
        self._dali = None
        return None


def _refuse_empty(pixels: Pixels) -> None:
    if (pixels == pixels[0, 0]).all():
        colour = ", ".join(map(str, pixels[0, 0]))
        raise UndecodableImage(f"holds nothing: every pixel is {colour} (red, green, blue)")


def _refuse_without_room(content: bytes) -> None:
    """Raise MemoryError if a decoder may have failed for lack of memory."""
    refuse_without_room(stated_pixels(content))


def _check_whole(content: bytes) -> None:
    """Raise UndecodableImage for what a decoder takes for whole although parts are absent."""
    if reason := lacking_scans(content) or hole_of(content) or lacking_rows(content):
        raise UndecodableImage(reason)
