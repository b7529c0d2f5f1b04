"""Images are taken and left out; paths are judged: on the CPU, and on GPUs of host memory."""

import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from hambatch.checks.options import ParityOptions
from hambatch.checks.parity.measuring import judge, measure_parity, scorable, take_images
from hambatch.checks.parity.paths import (
    USUAL,
    Outcome,
    other_paths,
    reference_path,
    usual_run,
    varied_runs,
)
from hambatch.checks.parity.results import Parity, PathResult, Scorable
from hambatch.engines.loading import load_engine
from hambatch.errors import DeviceLost, InputError
from hambatch.sources.entry import Entry
from hambatch.sources.source import find_sources, folder_of_images
from tests.backends.tensorrt.host_gpus import host_gpus
from tests.checks.parity.made_parity import failed, path, row
from tests.engines.int8_engine import with_int8

__all__ = ["host_gpus"]

COUNT = 9
"""Images: more than the request of four and the batch of seven."""


def measured(source: Path, engine: Path, **options: str) -> Parity:
    return measure_parity([source], ParityOptions(engine=str(engine), count=COUNT, **options))


@pytest.mark.slow
@pytest.mark.usefixtures("host_gpus")
def test_gpus_that_work_give_the_rows_of_the_cpu(image_folder: Path, tiny_engine: Path) -> None:
    found = measured(image_folder, tiny_engine, device="0,1", precision="fp32")
    reference, keras, on_gpu = found.results
    assert (reference.verdict, keras.verdict, on_gpu.verdict) == (
        "reference",
        "not taken",
        "within",
    )
    assert on_gpu.compared
    assert (on_gpu.compared.images, on_gpu.compared.max_difference) == (COUNT, 0)
    assert (on_gpu.decoders, on_gpu.backends) == ({"dali-gpu": COUNT}, {"tensorrt-fp32": COUNT})
    assert [varied.name for varied in on_gpu.varied][2:] == ["backwards", "gpu 1"]
    assert all(varied.same for result in found.results for varied in result.varied)
    # These GPUs have one decoder.
    assert found.load
    assert (found.load.as_both, found.load.moved_by_place) == (COUNT, 0)
    assert found.holds


ENTRIES = [Entry(f"picture_{k:02d}.jpg") for k in range(0, 21, 3)]


def by_reference(folder: Path, source: Path) -> Scorable:
    run, sources = usual_run(reference_path(load_engine(folder))), folder_of_images(source)
    return scorable(run.rows(sources, ENTRIES), sources)


def usual_rows(folder: Path, source: Path, images: Scorable, **options: str) -> PathResult:
    """Judge by the usual runs alone: the first path that is taken."""
    engine = load_engine(folder)
    taken = next(p for p in other_paths(engine, ParityOptions(**options)) if p.taken)
    rows = usual_run(taken).outcome(folder_of_images(source), ENTRIES)
    found: dict[str, Outcome] = {USUAL: rows} | {run.name: rows for run in varied_runs(taken)}
    return judge(taken, images, found, engine.manifest.sentinels)


def test_int8_keeps_the_labels_of_fp32_and_one_with_its_classes_mixed_up_does_not(
    image_folder: Path, tiny_engine: Path, tmp_path: Path
) -> None:
    right = with_int8(tiny_engine, tmp_path / "right")
    wrong = with_int8(tiny_engine, tmp_path / "wrong", mixed_up=True)
    images = by_reference(right, image_folder)  # both have the FP32 graph of the reference
    good = usual_rows(right, image_folder, images, device="cpu", precision="int8")
    bad = usual_rows(wrong, image_folder, images, device="cpu", precision="int8")
    assert (good.verdict, bad.verdict) == ("within", "beyond")
    assert good.backends == {"openvino-int8": 7}


@pytest.mark.usefixtures("host_gpus")
def test_a_gpu_that_fails_is_no_path_that_was_not_taken(
    image_folder: Path, tiny_engine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOST_GPU_FAILS", "0:1")
    images = by_reference(tiny_engine, image_folder)
    result = usual_rows(tiny_engine, image_folder, images, device="0", precision="fp32")
    assert result.verdict == "failed"
    assert result.problem
    assert not result.within


def test_a_row_that_changes_with_its_batch_is_noticed(tiny_engine: Path) -> None:
    rows = [row("a.jpg"), row("b.jpg")]
    images = scorable(rows, folder_of_images(tiny_engine))
    keras = path(tiny_engine, "keras", "fp32")
    steady: dict[str, Outcome] = {run.name: rows for run in varied_runs(keras)} | {USUAL: rows}
    moved = steady | {"backwards": [row("a.jpg", 1e-6), row("b.jpg")]}
    lost = steady | {"backwards": DeviceLost("the GPU is gone.\nNext: look for it")}
    spec = load_engine(tiny_engine).manifest.sentinels
    assert judge(keras, images, steady, spec).steady
    changed = judge(keras, images, moved, spec)
    assert (changed.within, changed.steady) == (True, False)
    assert changed.varied[-1].rows_changed == 1
    gone = judge(keras, images, lost, spec)
    assert (gone.steady, gone.varied[-1].problem) == (False, "the GPU is gone.")


def test_every_path_is_scored_in_other_batches_streams_and_places(tiny_engine: Path) -> None:
    runs = varied_runs(reference_path(load_engine(tiny_engine)))
    ways = {(run.options.batch_size, run.options.streams, run.backwards) for run in runs}
    assert {size for size, _, _ in ways} == {1, 7, 64}
    assert {streams == 1 for _, streams, _ in ways} == {True, False}
    assert any(backwards for _, _, backwards in ways)


def test_images_are_spread_evenly_over_the_listing(image_folder: Path) -> None:
    sources = folder_of_images(image_folder)
    every = take_images(sources, 1000)
    assert (len(every.entries), every.listed) == (24, 24)
    some = take_images(sources, 6)
    assert (some.entries, some.listed) == (every.entries[::4], 24)
    assert len(take_images(sources, 17).entries) == 17


def test_an_empty_folder_is_refused_with_the_next_command(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no image in .*\nNext: "):
        take_images(folder_of_images(tmp_path), 64)


def test_bad_images_are_left_out_by_reason(tmp_path: Path) -> None:
    found = scorable([row("a.jpg"), failed("b.jpg"), failed("c.jpg")], folder_of_images(tmp_path))
    assert found.names == ("a.jpg",)
    assert dict(found.left_out) == {"cannot be decoded: junk": 2}


def test_a_folder_of_bad_images_is_refused_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"none of the 1 images .* cannot be decoded: junk\.\nNext:"
    ):
        scorable([failed("b.jpg")], folder_of_images(tmp_path))


def test_members_of_an_archive_are_taken_and_scored_like_files(
    image_folder: Path, tiny_engine: Path, tmp_path: Path
) -> None:
    with zipfile.ZipFile(tmp_path / "scans.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in image_folder.rglob("*.*"):
            archive.write(path, path.relative_to(image_folder))
    folder, scans = folder_of_images(image_folder), find_sources([tmp_path / "scans.zip"])
    files, members = take_images(folder, 6), take_images(scans, 6)
    assert members.listed == files.listed
    run = usual_run(reference_path(load_engine(tiny_engine)))
    wanted = run.rows(folder, files.entries)
    found = replace(run, backwards=True).rows(scans, members.entries)
    assert [row.image for row in found] == [f"scans.zip!/{row.image}" for row in wanted]
    assert [replace(row, image="") for row in found] == [replace(row, image="") for row in wanted]
    assert members.of([found[2].image]) == members.entries[2:3]
