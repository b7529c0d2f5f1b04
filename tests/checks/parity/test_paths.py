"""Every path that could be taken has its line; one that cannot says why."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from hambatch.checks.options import ParityOptions
from hambatch.checks.parity.paths import ScoringPath, other_paths, reference_path
from hambatch.engines.loading import Engine, load_engine, write_manifest
from hambatch.errors import BackendError
from hambatch.scoring import plan as placement
from hambatch.system.gpus import Probe
from tests.backends.tensorrt.host_gpus import host_gpus

__all__ = ["host_gpus"]

ON_CPU = [f"dali-cpu+openvino-{precision}" for precision in ("bf16", "int8", "int8-bf16")]
ON_GPU = [f"dali-gpu+tensorrt-{precision}" for precision in ("fp32", "fp16", "int8")]


@pytest.fixture
def engine(tiny_engine: Path) -> Engine:
    return load_engine(tiny_engine)


def by_name(engine: Engine, **options: str) -> dict[str, ScoringPath]:
    return {path.name: path for path in other_paths(engine, ParityOptions(**options))}


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with the packages, and no driver."""
    absent = Probe("", 0, (), "no libcuda.so.1: no NVIDIA driver is installed", "", absent=True)
    monkeypatch.setattr(placement, "probe_gpus", lambda: absent)
    monkeypatch.setattr(placement, "_is_installed", lambda package: True)


@pytest.mark.usefixtures("no_gpu")
def test_without_a_gpu_each_of_its_paths_says_what_the_driver_says(engine: Engine) -> None:
    paths = by_name(engine)
    assert list(paths) == [*ON_CPU, "dali-cpu+keras-fp32", *ON_GPU]
    for name in ON_GPU:
        assert "no NVIDIA driver is installed" in paths[name].why_not


@pytest.mark.usefixtures("no_gpu")
def test_a_gpu_that_is_asked_for_and_not_there_is_an_error(engine: Engine) -> None:
    with pytest.raises(BackendError, match="no NVIDIA driver is installed"):
        other_paths(engine, ParityOptions(device="gpu"))


def test_an_engine_without_int8_or_keras_weights_says_so(engine: Engine) -> None:
    paths = by_name(engine, device="cpu")
    for name in ("dali-cpu+openvino-int8", "dali-cpu+openvino-int8-bf16"):
        assert paths[name].why_not == "the engine has no int8 graph"
    keras = paths["dali-cpu+keras-fp32"]
    assert "no model.weights.h5" in keras.why_not
    assert keras.next.startswith("hambatch train")
    assert paths[ON_GPU[0]].why_not == "--device cpu"


def test_keras_is_taken_where_weights_head_and_packages_are_there(
    engine: Engine, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(engine.folder, tmp_path / "trained"))
    (folder / "model.weights.h5").touch()
    unnamed = by_name(Engine(folder, engine.manifest, ""), device="cpu")["dali-cpu+keras-fp32"]
    assert "has no sha256" in unnamed.why_not
    named = write_manifest(folder, engine.manifest)
    recipe = replace(named, training={"hidden_units": 16, "dropout": 0.5})
    assert by_name(Engine(folder, recipe, ""), device="cpu")["dali-cpu+keras-fp32"].taken
    untold = by_name(Engine(folder, named, ""), device="cpu")["dali-cpu+keras-fp32"]
    assert "what head" in untold.why_not


@pytest.mark.usefixtures("without_bfloat16")
def test_bf16_is_not_emulated(engine: Engine) -> None:
    path = by_name(engine, device="cpu")["dali-cpu+openvino-bf16"]
    assert path.why_not.startswith("bf16 is for processors that multiply bfloat16: found ")
    with pytest.raises(BackendError, match="nothing can be scored in bf16"):
        other_paths(engine, ParityOptions(precision="bf16", device="cpu"))


@pytest.mark.usefixtures("with_bfloat16")
def test_bf16_is_taken_where_the_processor_multiplies_it(engine: Engine) -> None:
    (path,) = other_paths(engine, ParityOptions(precision="bf16", device="cpu"))
    assert path.taken
    assert (path.options.precision, path.options.force) == ("bf16", True)


@pytest.mark.usefixtures("host_gpus")
def test_a_gpu_takes_each_precision_that_it_has_a_plan_for(engine: Engine) -> None:
    paths = by_name(engine)
    assert [paths[name].taken for name in ON_GPU] == [True, True, False]
    assert paths[ON_GPU[2]].why_not == "the engine has no int8 graph"
    options = paths[ON_GPU[1]].options
    assert (options.device, options.backend, options.precision) == ("0", "tensorrt", "fp16")
    assert paths[ON_GPU[0]].device == "gpu 0: Host-Memory GPU"


@pytest.mark.usefixtures("host_gpus")
def test_of_several_gpus_the_others_are_compared_with_the_first(engine: Engine) -> None:
    path = by_name(engine, device="1,0")[ON_GPU[0]]
    assert (path.options.device, path.other_gpus) == ("1", (0,))


@pytest.mark.usefixtures("host_gpus")
def test_a_plan_that_is_not_kept_is_a_line_with_the_command(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOST_GPU_BUILDS", "refused")
    path = by_name(engine)[ON_GPU[0]]
    assert (path.why_not, path.next) == ("there is no plan.", "hambatch build")
    with pytest.raises(
        BackendError, match=r"nothing can be scored on gpu 0.*\nNext: hambatch build"
    ):
        other_paths(engine, ParityOptions(device="0"))


def test_a_precision_that_is_asked_for_and_nowhere_there_is_an_error(engine: Engine) -> None:
    for precision in ("int8", "fp16"):
        with pytest.raises(BackendError, match=f"nothing can be scored in {precision}"):
            other_paths(engine, ParityOptions(precision=precision, device="cpu"))


def test_the_reference_is_fp32_of_openvino_whatever_the_machine(engine: Engine) -> None:
    path = reference_path(engine)
    assert path.name == "dali-cpu+openvino-fp32"
    assert (path.options.device, path.options.precision) == ("cpu", "fp32")
