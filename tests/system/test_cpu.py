"""What a processor is called decides whether two runs may be compared; runs share its cores."""

import platform
from pathlib import Path

import pytest

from hambatch.system.cpu import (
    Sharing,
    available_cores,
    instruction_set,
    int8_kernels,
    kernels_of,
    multiplies_bfloat16,
    share_cores,
)


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


def test_bfloat16_is_known_by_its_products(tmp_path: Path) -> None:
    path = tmp_path / "cpuinfo"
    found = []
    for flags in ("avx512f avx512_bf16", "avx512f amx_tile amx_bf16", "avx2 avx512f avx512_vnni"):
        path.write_text(f"flags : fpu {flags}\n")
        found.append(multiplies_bfloat16(path))
    assert found == [True, True, False]


def test_int8_is_known_by_the_extension_whose_kernels_it_takes(tmp_path: Path) -> None:
    path = tmp_path / "cpuinfo"
    path.write_text("flags : fpu avx2 sse4_2 avx512f avx512_vnni avx_vnni\n")
    assert int8_kernels(path) == f"{platform.machine()} avx512_vnni"
    path.write_text("flags : fpu avx2 sse4_2\n")
    assert int8_kernels(path) == f"{platform.machine()} avx2"
    assert int8_kernels(tmp_path / "none") == platform.machine()


def test_every_kind_of_number_of_a_precision_has_its_kernels(tmp_path: Path) -> None:
    path, machine = tmp_path / "cpuinfo", platform.machine()
    path.write_text("flags : fpu avx2 avx512f avx512_vnni avx512_bf16\n")
    assert kernels_of("int8-bf16", path) == f"{machine} avx512_vnni avx512_bf16"
    assert kernels_of("bf16", path) == f"{machine} avx512_bf16"
    assert kernels_of("fp32", path) == machine
    path.write_text("flags : fpu avx512_vnni avx512_bf16 amx_tile amx_int8 amx_bf16\n")
    assert kernels_of("int8-bf16", path) == f"{machine} amx_int8 amx_bf16"
    path.write_text("flags : fpu avx2\n")
    assert kernels_of("bf16", path) == machine


def test_both_stages_may_use_every_core_unless_options_say_otherwise() -> None:
    assert share_cores() == Sharing(available_cores(), available_cores())
    assert share_cores(threads=5) == Sharing(5, 5)
    assert share_cores(threads=5, streams=4) == Sharing(4, 5)
    assert share_cores(threads=5, decode_threads=1) == Sharing(5, 1)
