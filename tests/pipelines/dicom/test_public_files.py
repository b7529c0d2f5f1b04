"""docs/dicom.md says what becomes of every file of three public test suites."""

import re
from fnmatch import fnmatchcase

import pytest

from hambatch.scoring.options import ScoreOptions
from hambatch.scoring.rows import predict_images
from hambatch.sources.listing import list_sources
from hambatch.sources.source import find_sources
from tests.conftest import REPOSITORY

SUITES = REPOSITORY.parent / "shared" / "data" / "dicom"
ROW = re.compile(
    r"^\| (?P<files>`.*`) \| (?P<outcome>ok|failed) \| (?P<decoder>\S*) ?\| (?P<why>.+) \|$"
)

BARS = (
    *("SC_rgb.dcm", "SC_rgb_dcmtk_+eb+cr.dcm", "SC_rgb_gdcm_KY.dcm", "SC_rgb_jpeg_gdcm.dcm"),
    *("SC_rgb_jls_lossy_line.dcm", "SC_rgb_jls_lossy_sample.dcm", "SC_rgb_jpeg_lossy_gdcm.dcm"),
    *(f"SC_rgb_dcmtk_+eb+cy+{k}.dcm" for k in ("n1", "n2", "np", "s2", "s4")),
    *("SC_rgb_jpeg_dcmtk.dcm", "SC_rgb_rle.dcm", "SC_ybr_full_422_uncompressed.dcm"),
)
"""All of them show the same coloured bars."""


@pytest.fixture(scope="module")
def rows(tiny_engine, tmp_path_factory):
    if not SUITES.is_dir():
        pytest.skip(f"{SUITES} is missing")
    sources = find_sources([SUITES])
    listing = list_sources(sources, tmp_path_factory.mktemp("listing") / "listing")
    options = ScoreOptions(engine=str(tiny_engine))
    found = predict_images(sources, [*listing.entries()], options)
    return {row.image.partition("/")[2]: row for row in found}


@pytest.mark.data
def test_every_public_file_ends_as_the_documentation_says(rows) -> None:
    text = (REPOSITORY / "docs" / "dicom.md").read_text(encoding="utf-8")
    table = [m for m in map(ROW.match, text.splitlines()) if m]
    for name, row in rows.items():
        said = [
            (m["outcome"], m["decoder"], m["why"] if m["outcome"] == "failed" else "")
            for m in table
            if any(fnmatchcase(name, one) for one in re.findall(r"`([^`]+)`", m["files"]))
        ]
        assert said == [(row.status, row.decoder, row.reason)], name
    assert len({name.partition("!")[0] for name in rows}) == 50


@pytest.mark.data
def test_one_picture_has_the_same_scores_in_every_syntax(rows) -> None:
    plain = rows[BARS[0]].probabilities
    for name in BARS:
        pairs = zip(rows[name].probabilities, plain, strict=True)
        assert max(abs(one - other) for one, other in pairs) < 0.01, name
