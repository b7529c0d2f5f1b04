"""The slow lane: one file at a time, first DALI alone, then Pillow.

Whatever happens to a file here happens to that file only.
"""

from dataclasses import dataclass, field

from hambatch.engines.manifest import InputSpec, Preprocessing
from hambatch.pipelines import pillow_lane
from hambatch.pipelines.dali_lane import DaliLane
from hambatch.pipelines.decoder_log import DecoderLog
from hambatch.pipelines.header import is_cut_off, read_header, refusal, without_extras
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

    def decode(self, file: Fetched, *, alone: bool = True) -> Salvaged | Failure:
        """Decode one file, or say in a line why no decoder can.

        ``alone`` says that no other file is being decoded meanwhile; if it is not, raises
        NotAlone where the answer depends on it. Raises MemoryError if memory is what is missing.
        """
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

    def _in_srgb(self, content: bytes, pixels: Pixels, decoder: str) -> Salvaged:
        """Decode again where the file says that its colours are not sRGB; DALI ignores it."""
        if profile := foreign_profile(content):
            by = decoder if decoder.startswith("pillow") else "pillow"
            pixels, decoder = self._by_pillow(content, profile), f"{by}-icc"
        if (pixels == pixels[0, 0]).all():
            colour = ", ".join(map(str, pixels[0, 0]))
            raise UndecodableImage(f"holds nothing: every pixel is {colour} (red, green, blue)")
        return pixels, decoder

    def _strictly(self, content: bytes, alone: bool) -> Salvaged:
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


def _refuse_without_room(content: bytes) -> None:
    """Raise MemoryError if a decoder may have failed for lack of memory."""
    header = read_header(content)
    refuse_without_room(header.pixels if header else 0)


def _check_whole(content: bytes) -> None:
    """Raise UndecodableImage for what a decoder takes for whole although parts are absent."""
    if reason := lacking_scans(content) or hole_of(content) or lacking_rows(content):
        raise UndecodableImage(reason)
