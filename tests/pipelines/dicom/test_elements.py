"""What pydicom says of a header is never passed on."""

import traceback

import pytest
from pydicom.errors import InvalidDicomError

from hambatch.pipelines.dicom.elements import refusing
from hambatch.pipelines.pillow_lane import UndecodableImage


@pytest.mark.parametrize("kind", [ValueError, KeyError, NotImplementedError, InvalidDicomError])
def test_no_error_of_a_reader_keeps_its_words(kind: type[Exception]) -> None:
    with pytest.raises(Exception, match=r"damaged: the header|failed with Invalid") as caught:
        with refusing("damaged: the header"):
            raise kind("Roe^Jane cannot be read")
    assert "Roe" not in "".join(traceback.format_exception_only(caught.value))
    assert caught.value.__suppress_context__
    assert isinstance(caught.value, UndecodableImage) == (kind is not InvalidDicomError)


def test_a_reason_of_ours_and_lack_of_memory_stay_what_they_are() -> None:
    for error in (UndecodableImage("grey"), MemoryError("none left")):
        with pytest.raises(type(error), match=str(error)):
            with refusing("damaged"):
                raise error
