from PIL import Image

from hambatch.pipelines.jpeg_codes import hole_of, may_have_hole
from tests.pipelines.odd import as_jpeg, picture, with_hole


def test_zeros_are_pixels_only_where_the_tables_say_nothing_changes() -> None:
    border = Image.new("RGB", (640, 480))
    border.paste(picture(), (20, 20))
    flat = as_jpeg(border, optimize=True)
    usual = as_jpeg(border)
    assert may_have_hole(flat, 600)
    assert hole_of(flat) == ""
    assert "zero bytes" in hole_of(with_hole(usual))
    assert not may_have_hole(usual + bytes(999), 600)
