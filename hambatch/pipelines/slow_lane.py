"""The slow lane: one file at a time, first DALI alone, then Pillow.

Whatever happens to a file here happens to that file only.
"""

import numpy as np
from numpy.typing import NDArray

from hambatch.engines.manifest import InputSpec, Preprocessing
from hambatch.pipelines import pillow_lane as pillow_decode
from hambatch.pipelines.dali_lane import DaliScoring
from hambatch.pipelines.decoder_log import DecoderLog
from hambatch.pipelines.header import JPEG_START, is_cut_off, read_header, refusal, without_extras
from hambatch.pipelines.pillow_lane import UndecodableImage
from hambatch.sources.reading import UNLIMITED, Fetched, Limits
from hambatch.types import Failure, on_host

Pixels = NDArray[np.uint8]


Salvaged = tuple[Pixels, str]
"""uint8 RGB ``[height, width, 3]``, and who decoded it."""


_UNVOUCHED = "no two decoders agree that it is whole"


class NotAlone(Exception):
    """What was printed may be another file's: decode again while nothing else is decoded."""


class DamagedImage(UndecodableImage):
    """It can be decoded, but not to the picture that was taken."""


class Salvage:
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

    def __init__(
        self,
        spec: InputSpec,
        how: Preprocessing,
        limits: Limits = UNLIMITED,
        log: DecoderLog | None = None,
        *,
        with_dali: bool = True,
    ) -> None:
        self._spec, self._how, self._limits = spec, how, limits
        self._log = log or DecoderLog()
        self._with_dali = with_dali
        self._dali: DaliScoring | None = None
        self._decoded = 0

    def decode(self, file: Fetched, *, alone: bool = True) -> Salvaged | Failure:
        """Decode one file, or say in a line why nobody can.

        Parameters
        ----------
        alone
            Whether no other file is being decoded meanwhile.

        Raises
        ------
        NotAlone
            If it must be called again with ``alone`` to know.
        """
        reason = file.problem or refusal(file.content, self._limits)
        if reason:
            return Failure(file.index, file.sha256, reason)
        try:
            return self._strictly(file, alone)
        except UndecodableImage as error:
            if not (self._limits.salvage_truncated and is_cut_off(file.content)):
                return Failure(file.index, file.sha256, str(error))
        if not alone:
            raise NotAlone
        return self._leniently(file)

    def _strictly(self, file: Fetched, alone: bool) -> Salvaged:
        header = read_header(file.content)
        if self._with_dali and header and not header.odd_exif:
            pixels, warning = self._by_dali(file.content, alone)
            if pixels is not None and (not warning or not self._damage(file.content, alone)):
                return pixels, "dali-cpu"
            if warning and pixels is not None:
                raise DamagedImage(f"damaged: {warning}")
        pixels = pillow_decode.decode(file.content, self._spec, self._how, self._limits)
        damage = self._damage(file.content, alone)
        if damage:
            raise DamagedImage(f"damaged: {damage}")
        return pixels, "pillow"

    def _leniently(self, file: Fetched) -> Salvaged | Failure:
        try:
            with pillow_decode.tolerating_truncation():
                pixels = pillow_decode.decode(file.content, self._spec, self._how, self._limits)
        except UndecodableImage as error:
            return Failure(file.index, file.sha256, str(error))
        return pixels, "pillow-truncated"

    def _damage(self, content: bytes, alone: bool) -> str:
        """Ask DALI what is wrong with the samples of a JPEG, its header put in order."""
        if not self._with_dali or not content.startswith(JPEG_START):
            # A PNG has checksums, which Pillow and DALI both verify.
            return ""
        plain = without_extras(content)
        header = read_header(plain) if plain else None
        if plain is None or header is None or refusal(plain, self._limits):
            return _UNVOUCHED
        pixels, warning = self._by_dali(plain, alone)
        return warning or ("" if pixels is not None else _UNVOUCHED)

    def _by_dali(self, content: bytes, alone: bool) -> tuple[Pixels | None, str]:
        """Give the pixels or None, and the warning that the decoder printed."""
        heard_before = self._log.heard()
        pixels = self._pixels(content)
        warning = self._log.heard()
        if not alone and (warning or heard_before):
            raise NotAlone
        return pixels, warning

    def _pixels(self, content: bytes) -> Pixels | None:
        self._dali = self._dali or DaliScoring(1, 1, self._spec, self._how)
        self._decoded += 1
        try:
            self._dali.feed([Fetched(self._decoded, content, "")])
            indices, images = self._dali.collect()
        except RuntimeError:
            # After an error the pipeline's state is undocumented: a new one costs 10 ms.
            self._dali = None
            return None
        if indices.tolist() != [self._decoded]:
            # An answer for another file: nobody has decoded this one.
            self._dali = None
            return None
        pixels: Pixels = on_host(images)[0].copy()
        return pixels
