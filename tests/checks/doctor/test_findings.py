"""A part is usable if it works, missing if it is not there, and else broken, with the reason."""

import importlib
import os
import sys
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import pytest

from hambatch.checks.doctor import findings
from hambatch.checks.doctor.findings import (
    BROKEN,
    DALI,
    FOR_GPU,
    FOR_TRAINING,
    MISSING,
    TUNE,
    USABLE,
    Package,
    examine_dali,
    examine_engine,
    examine_packages,
    gpu_findings,
    jpeg_engine,
)
from hambatch.engines.loading import find_engine, load_engine
from hambatch.engines.manifest import read_manifest
from hambatch.engines.precision import choose_precision
from hambatch.scoring.options import ScoreOptions
from hambatch.system.cpu import int8_kernels
from hambatch.system.gpus import INSTALL, Gpu, Probe
from tests.checks.doctor.installed import install
from tests.engines.int8_engine import gate_of, put_gate, with_int8


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of packages that this process and its children find."""
    folder = tmp_path / "site"
    folder.mkdir()
    path = [str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path))
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
    importlib.invalidate_caches()
    return folder


def package(module: str, least: tuple[int, ...] = ()) -> Package:
    return Package(module, (f"the-{module}",), "trying", f"pip install the-{module}", least)


def test_a_package_that_is_not_installed_is_missing_with_its_pip_line() -> None:
    (found,) = examine_packages([package("nowhere")])
    assert (found.state, found.version, found.why) == (MISSING, "", "not installed")
    assert found.next == "pip install the-nowhere"


def test_the_packages_of_training_are_usable_here() -> None:
    for found in examine_packages(FOR_TRAINING):
        assert (found.state, found.why, found.next) == (USABLE, "", "")
        assert found.version == version(found.name)


def test_dali_is_usable_where_it_decodes() -> None:
    found = examine_dali()
    assert (found.part, found.state, found.why) == (DALI.module, USABLE, "")
    assert found.version == version(found.name)
    assert "no GPU was tried" in found.about


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("raise RuntimeError('no good')", "RuntimeError: no good"),
        ("import os; os.kill(os.getpid(), 4)", "died of signal 4 (Illegal instruction)"),
        ("import sys; sys.exit()", "ended by itself with exit code 0"),
        ("import no_such.part", "ModuleNotFoundError: No module named 'no_such'"),
    ],
)
def test_a_broken_package_says_why_and_spoils_no_other(site: Path, body: str, why: str) -> None:
    install(site, "one", "", "the-one==1.0")
    install(site, "two", body, "the-two==2.0")
    install(site, "three", "", "the-three==3.0")
    found = examine_packages([package("one"), package("two"), package("three")])
    assert [finding.state for finding in found] == [USABLE, BROKEN, USABLE]
    assert [finding.version for finding in found] == ["1.0", "2.0", "3.0"]
    assert found[1].why == why


def test_a_broken_package_is_installed_again_unless_another_one_is_to_blame(site: Path) -> None:
    install(site, "one", "raise RuntimeError('no good')", "the-one==1.0")
    install(site, "two", "import no_such", "the-two==2.0")
    install(site, "three", "raise ImportError('libcuda.so.1: cannot open')", "the-three==3.0")
    found = examine_packages([package("one"), package("two"), package("three")])
    assert [finding.next for finding in found] == [
        "pip install --force-reinstall the-one==1.0",
        "pip install the-two",
        INSTALL,
    ]


def test_a_package_without_its_files_is_broken(site: Path) -> None:
    install(site, "gone", "", "the-gone==1.0")
    (site / "gone" / "__init__.py").unlink()
    (site / "gone").rmdir()
    (found,) = examine_packages([package("gone")])
    assert (found.state, found.why) == (BROKEN, "ModuleNotFoundError: No module named 'gone'")


def test_a_module_that_pip_does_not_know_is_usable_all_the_same(site: Path) -> None:
    install(site, "unknown", "")
    (found,) = examine_packages([package("unknown")])
    assert (found.state, found.version) == (USABLE, "")


def test_a_folder_of_the_same_name_is_no_package(site: Path) -> None:
    (site / "nothing").mkdir()
    (found,) = examine_packages([package("nothing")])
    assert found.state == MISSING


def test_too_old_a_tensorrt_is_broken_with_the_version_that_is_wanted(site: Path) -> None:
    install(site, "tensorrt", "", "tensorrt==10.16.0")
    found = examine_packages(FOR_GPU)[0]
    assert (found.state, found.version) == (BROKEN, "10.16.0")
    assert found.why == "too old, wanted 11.4 or newer"
    assert found.next.startswith("pip install tensorrt-cu12")


@pytest.mark.parametrize("cuda", ["cu12", "cu13"])
def test_a_new_enough_tensorrt_is_usable(site: Path, cuda: str) -> None:
    install(site, "tensorrt", "", f"tensorrt-{cuda}-bindings==11.4.0.106")
    found = examine_packages(FOR_GPU)[0]
    assert (found.name, found.state) == (f"tensorrt-{cuda}-bindings", USABLE)


def test_the_default_engine_runs_as_score_would_choose() -> None:
    found = examine_engine()
    manifest = load_engine(find_engine(ScoreOptions.engine)).manifest
    choice = choose_precision(manifest, "openvino", "auto")
    assert (found.name, found.state, found.version) == (manifest.name, USABLE, manifest.version)
    hint = TUNE if choice.gate == "not measured here" else ""
    assert found.about == f"loads; runs as openvino-{choice.used} here ({choice.why}){hint}"


def test_int8_runs_where_its_gate_passed(tiny_engine: Path, tmp_path: Path) -> None:
    folder = with_int8(tiny_engine, tmp_path / "tiny")
    put_gate(folder, gate_of(read_manifest(folder), int8_kernels()))
    about = examine_engine(str(folder)).about
    said = "loads; runs as openvino-int8 here (gate passed: 0.9 % of labels change"
    assert about.startswith(said)


def test_where_no_gate_was_measured_it_names_the_next_step(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = {"name": "tiny", "version": "1", "runs": "openvino-fp32", "chosen": "no gate"}
    reported = SimpleNamespace(reports=[{**facts, "tune": True}], problem="")
    monkeypatch.setattr(findings, "run_probe", lambda *words, seconds: reported)
    said = "loads; runs as openvino-fp32 here (no gate); hambatch engines tune SOURCE may allow"
    assert examine_engine("tiny").about.startswith(said)


@pytest.mark.parametrize("harm", ["altered", "removed"])
def test_a_damaged_engine_is_broken(tiny_engine: Path, tmp_path: Path, harm: str) -> None:
    folder = with_int8(tiny_engine, tmp_path / "tiny")
    if harm == "altered":
        (folder / "model.onnx").write_bytes(b"another graph")
    else:
        (folder / "model.onnx").unlink()
    found = examine_engine(str(folder))
    assert found.state == BROKEN
    assert str(folder / "model.onnx") in found.why
    assert found.next.startswith("install hambatch again")


def card(*capability: int) -> Gpu:
    return Gpu(0, "a card", capability, 2**34, "")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("capability", "says"),
    [
        ((7, 5), "none documented"),
        ((8, 0), "documented for Ampere (A100, A30)"),
        ((8, 6), "none documented"),
        ((8, 9), "documented for Ada"),
        ((9, 0), "documented for Hopper"),
        ((10, 3), "documented for Blackwell"),
        ((12, 0), "documented for Blackwell"),
        ((13, 0), "not known of so new a GPU"),
    ],
)
def test_the_jpeg_engine_is_as_documented(capability: tuple[int, int], says: str) -> None:
    said = jpeg_engine(card(*capability))
    assert says in said
    assert "hambatch bench pipeline" in said


def test_a_usable_driver_is_listed_with_its_gpus() -> None:
    driver, gpu = gpu_findings(Probe("550.54.15", 12040, (card(9, 0),), "", ""))
    assert (driver.state, driver.version, driver.about) == (USABLE, "550.54.15", "runs CUDA 12.4")
    assert (gpu.part, gpu.name, gpu.state) == ("gpu 0", "a card (gpu 0)", USABLE)
    assert gpu.about.startswith("compute capability 9.0, 16 GiB; ")


def test_no_driver_is_missing_and_a_faulty_one_is_broken() -> None:
    (absent,) = gpu_findings(Probe("", 0, (), "no libcuda.so.1", "install it", absent=True))
    assert (absent.state, absent.why, absent.next) == (MISSING, "no libcuda.so.1", "install it")
    (old,) = gpu_findings(Probe("470.1", 11040, (card(9, 0),), "too old", "install a newer one"))
    assert (old.state, old.version, old.why) == (BROKEN, "470.1", "too old")
