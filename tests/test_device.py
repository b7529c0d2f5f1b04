"""What a processor is called decides whether two runs may be compared."""

import platform
from pathlib import Path

import pytest

from hambatch.device import instruction_set


@pytest.mark.parametrize(
    ("cpuinfo", "wanted"),
    [
        ("processor : 0\nflags\t\t: fpu avx2 sse4_2 avx512f tsc\n", "sse4_2 avx2 avx512f"),
        ("processor : 0\nFeatures\t: fp asimd evtstrm sve i8mm\n", "asimd i8mm sve"),
        ("processor : 0\n", ""),
        (None, ""),
    ],
)
def test_it_names_what_changes_results_and_nothing_else(
    tmp_path: Path, cpuinfo: str | None, wanted: str
) -> None:
    path = tmp_path / "cpuinfo"
    if cpuinfo is not None:
        path.write_text(cpuinfo)
    assert instruction_set(path) == f"{platform.machine()} {wanted}".strip()
