"""How files are decoded: the version of the rules, and the arguments of DALI's decoder."""

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

RULES = 4
"""Version of the rules by which files become pixels or failed rows.

Raise it when the same file gets another row; rows of different rules are not put into one table.
2: colour profiles are applied, pictures that hold nothing or lack a part fail. Records of before
have no such number. 3: DICOM and other formats than JPEG and PNG are decoded. 4: images are checked
for their quality and for being unlike the training images.
"""


@dataclass(frozen=True)
class DecoderOptions:
    """DALI's image decoder on a GPU; on the CPU none of them changes anything.

    Attributes
    ----------
    hw_decoder_load
        Share of a batch's JPEGs that the GPU's JPEG engine is given, the first ones; CUDA
        cores decode the rest [1]_, to slightly other pixels [2]_. So only with 0 and 1 does
        an image's score not depend on its slot in the batch. 1 keeps most cores free, the
        GPU's and the CPU's; on an A100 it gave 5,000 images/s where 0.75 gave 7,000 [3]_.
        A GPU without the engine decodes all on its cores.
    preallocate_width_hint, preallocate_height_hint
        Pixels of an image that the engine's memory is laid out for at the start, three bytes
        each, for a whole batch: 200 MB with 64. HAM10000's are 600 x 450, BCN20000's
        1024 x 1024; larger ones cost an allocation more.
    device_memory_padding, host_memory_padding
        Bytes that each thread starts with, in place of growing: DALI's own defaults.
    hybrid_huffman_threshold
        Pixels above which CUDA cores take part in the Huffman decoding: DALI's own default.
    jpeg_fancy_upsampling
        Interpolate chroma as libjpeg does on the CPU [4]_; DALI's default is not to.

    References
    ----------
    .. [1] nvImageCodec, ``extensions/nvjpeg/hw_decoder.cpp``: what is beyond the load is
       passed on as ``SATURATED``.
    .. [2] https://github.com/NVIDIA/DALI/pull/2232
    .. [3] https://github.com/NVIDIA/DALI/issues/5362
    .. [4] https://github.com/NVIDIA/DALI/pull/4662
    """

    hw_decoder_load: Annotated[float, Meta(ge=0, le=1)] = 1.0
    preallocate_width_hint: int = 1024
    preallocate_height_hint: int = 1024
    device_memory_padding: int = 16_777_216
    host_memory_padding: int = 8_388_608
    hybrid_huffman_threshold: int = 1_000_000
    jpeg_fancy_upsampling: bool = True

    @property
    def splits_batches(self) -> bool:
        """Whether an image's pixels may depend on its place in the batch."""
        return 0 < self.hw_decoder_load < 1


DEFAULTS = DecoderOptions()
