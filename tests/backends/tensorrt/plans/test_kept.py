"""What is listed is what is there; what is pruned is what no start would use again."""

import os
from pathlib import Path

import pytest

from hambatch.backends.tensorrt.plans.cache import plan_cache
from hambatch.backends.tensorrt.plans.kept import Machine, plan_lines, prune_plans
from tests.backends.tensorrt.plans.made_plans import CONTENT, KEY, record
from tests.backends.tensorrt.plans.rtx import CARD, CUDA

HERE = Machine("11.4.0.106", "580.1", CUDA, (CARD,))


@pytest.fixture
def folder(own_cache: Path) -> Path:
    """Four plans: one that fits, of another driver, of another card, and a damaged one."""
    with plan_cache() as cache:
        cache.keep(record(), CONTENT)
        cache.keep(record(driver="1"), CONTENT)
        cache.keep(record(gpu="NVIDIA Other"), CONTENT)
        cache.keep(record(precision="int8"), CONTENT)
        cache.keep_timing("some", b"timings")
    (damaged,) = own_cache.glob(f"{record(precision='int8').key.name}-*")
    damaged.write_bytes(b"no")
    return own_cache


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hambatch.backends.tensorrt.plans.kept.this_machine", lambda: HERE)


@pytest.mark.usefixtures("here")
def test_every_plan_is_listed_with_its_state(folder: Path) -> None:
    lines = plan_lines()
    assert len(lines) == 4
    (fits,) = (line for line in lines if line.startswith(KEY.name[:12]))
    assert fits.split("  ")[1:] == [
        "tiny",
        "fp16",
        "batch 32",
        "NVIDIA Made-Up",
        "TensorRT 11.4.0.106",
        "0.0 MB",
        "2026-11-24T12:00:00+00:00",
        "intact, fits",
    ]
    states = sorted(line.split("  ")[-1].split(":")[0] for line in lines)
    assert states == ["damaged", "does not fit", "does not fit", "intact, fits"]
    assert any("its driver is 1, here 580.1" in line for line in lines)
    assert any("its gpu is NVIDIA Other (8.9), here NVIDIA Made-Up (8.9)" in line for line in lines)


def test_a_driver_of_unknown_version_is_compared_by_its_cuda() -> None:
    here = Machine(KEY.tensorrt, "", CUDA, (CARD,))
    assert here.misfit(record(driver="").key) == ""
    assert here.misfit(record(driver="", cuda=12040).key) == "its cuda is 12040, here 13000"


def test_without_a_gpu_whether_a_plan_fits_is_not_claimed(folder: Path) -> None:
    assert sum("unknown whether it fits" in line for line in plan_lines()) == 3


def test_an_empty_folder_names_the_command(own_cache: Path) -> None:
    (line,) = plan_lines()
    assert line.endswith("next: hambatch build")


@pytest.mark.usefixtures("here")
def test_pruning_leaves_what_fits_and_what_is_for_other_cards(folder: Path) -> None:
    done = prune_plans(everything=False)
    assert (done.removed, done.kept) == (2, 2)
    assert "1 of them for GPUs that are not here" in str(done)
    assert done.freed_bytes > len(CONTENT)
    other = record(gpu="NVIDIA Other").key
    assert {path.name.partition(".")[0][:64] for path in folder.iterdir()} == {
        KEY.name,
        other.name,
        "some",
    }
    with plan_cache() as cache:
        assert cache.find(KEY).content == CONTENT


def test_pruning_without_a_gpu_removes_what_is_damaged_and_says_so(folder: Path) -> None:
    done = prune_plans(everything=False)
    assert (done.removed, done.kept) == (1, 3)
    assert "unknown whether they fit" in str(done)


def test_pruning_all_leaves_nothing(folder: Path) -> None:
    assert prune_plans(everything=True).removed == 4
    assert list(folder.iterdir()) == []


def test_pruning_all_spares_what_a_build_in_progress_holds(folder: Path) -> None:
    fresh, old = f".{KEY.name}.json.0011", f".{KEY.name}.json.0022"
    for name in (fresh, old):
        (folder / name).write_bytes(b"half")
    os.utime(folder / old, (1, 1))
    with plan_cache() as cache, cache.building(KEY):
        done = prune_plans(everything=True)
        assert (done.removed, done.kept) == (3, 1)
        assert "being built now: 1" in str(done)
        assert cache.find(KEY).content == CONTENT
    left = {path.name for path in folder.iterdir()}
    assert left == {fresh, record().file, f"{KEY.name}.json", f"{KEY.name}.lock"}


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("everything", [True, False])
def test_what_is_no_regular_file_is_left_and_named(folder: Path, everything: bool) -> None:
    odd = folder / f"{'e' * 64}.json"
    odd.mkdir()
    (folder / "folder").mkdir()
    assert sum("is no regular file" in line for line in plan_lines()) == 1
    done = prune_plans(everything=everything)
    assert done.removed == (4 if everything else 2)
    assert f"left, as no regular file: '{odd.name}', 'folder'" in str(done)
    assert odd.is_dir()


def test_a_name_that_is_no_text_can_be_printed(folder: Path) -> None:
    (folder / os.fsdecode(b"\xff.json")).write_bytes(b"{}")
    assert all(line.isprintable() for line in plan_lines())
    assert prune_plans(everything=True).removed == 5


@pytest.mark.usefixtures("here")
def test_what_a_dead_build_left_goes_and_what_a_live_one_writes_stays(folder: Path) -> None:
    other = "f" * 64
    names = [f".{other}.json.0011", f"{other}-00.plan"]
    for name in names:
        (folder / name).write_bytes(b"half")
    prune_plans(everything=False)
    assert all((folder / name).exists() for name in names)
    for name in names:
        os.utime(folder / name, (1, 1))
    prune_plans(everything=False)
    assert not any((folder / name).exists() for name in names)
