"""The image ids of HAM10000, by which its images are known even where no table lists them."""

import re
from functools import cache

from hambatch.engines.training_images import hashed

HAM10000 = "HAM10000"

FIRST, LAST = 24306, 34320
"""HAM10000 is ISIC_0024306 to ISIC_0034320, each number once: 10,015 images [1]_.

.. [1] Tschandl et al., Sci. Data 5:180161 (2018), doi:10.1038/sdata.2018.161
"""

_ID = re.compile(r"ISIC_([0-9]{7})", re.IGNORECASE)

_LESION = re.compile(r"HAM_[0-9]{7}", re.IGNORECASE)


def is_of_ham10000(image_id: str) -> bool:
    """Tell whether an id is one of HAM10000's, in any case of its letters.

    >>> is_of_ham10000("ISIC_0024306"), is_of_ham10000("ISIC_0034321"), is_of_ham10000("24306")
    (True, False, False)
    """
    found = _ID.fullmatch(image_id)
    return found is not None and FIRST <= int(found[1]) <= LAST


def is_lesion_of_ham10000(lesion_id: str) -> bool:
    """Tell whether a lesion id has the form of HAM10000's, such as HAM_0000118."""
    return _LESION.fullmatch(lesion_id) is not None


@cache
def hashes_of_ham10000() -> frozenset[str]:
    """Hash all of its ids, as a list of training images has them: 10,015 in some 20 ms."""
    return frozenset(hashed(f"ISIC_{number:07}") for number in range(FIRST, LAST + 1))
