"""The ISIC submission: ids without folders and suffix, seven numbers."""

from pathlib import Path

from hambatch.sinks.isic_table import repeated_ids
from hambatch.types import Row
from tests.sinks.made_rows import write_rows

P = (0.0, 0.1, 0.0, 0.0, 0.330704, 0.569296, 0.0)


def test_a_submission_looks_like_this(tmp_path: Path) -> None:
    names = ("part_1/ISIC_0024306.jpg", "x/=cmd.jpg", "a.b.png", "-", "no/suffix", ".hidden")
    rows = [*(Row(name, "ok", "nv", P, 0.430704) for name in names), Row("gone.jpg", "failed")]
    path = write_rows(tmp_path / "p.csv", "isic", rows)
    numbers = "0.330704,0.569296,0.100000,0.000000,0.000000,0.000000,0.000000"
    assert path.read_text().splitlines() == [
        "image,MEL,NV,BCC,AKIEC,BKL,DF,VASC",
        f"ISIC_0024306,{numbers}",
        f"%3Dcmd,{numbers}",
        f"a.b,{numbers}",
        f"%2D,{numbers}",
        f"suffix,{numbers}",
        f"hidden,{numbers}",
        "gone,,,,,,,",
    ]


def test_ids_that_would_stand_there_twice_are_named_once() -> None:
    names = ["a/2.jpg", "a/1.jpg", "b/1.jpg", "1.png", "x/=.jpg", "y/=.png", "1.x.jpg", "2/3.jpg"]
    assert repeated_ids(names) == {
        "%3D": ["x/=.jpg", "y/=.png"],
        "1": ["1.png", "a/1.jpg", "b/1.jpg"],
    }
    assert repeated_ids(iter(names[:2])) == {}


def test_members_of_archives_and_copies_have_the_id_of_their_file(tmp_path: Path) -> None:
    names = ["night.zip!/sub/1.jpg", "night.zip!/2.jpg", "2.jpg#2"]
    rows = [Row(name, "failed") for name in names]
    lines = write_rows(tmp_path / "p.csv", "isic", rows).read_text().splitlines()
    assert [line.partition(",")[0] for line in lines[1:]] == ["1", "2", "2"]
    assert repeated_ids(names) == {"2": names[:0:-1]}
