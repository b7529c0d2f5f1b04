"""The training device: chosen with a reason, refused with a way out, set up before use."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from unittest.mock import call, create_autospec

import numpy as np
import pytest

from hambatch.backends.keras_network import build_base, in_mixed_precision
from hambatch.errors import BackendError, InputError
from hambatch.system.array_cache import Pair
from hambatch.system.files import sha256_of_bytes
from hambatch.training.compute import (
    Compute,
    choose,
    compute_of,
    refuse_mixed_precision,
    set_up,
    use_gpu,
)
from hambatch.training.features import PIPELINE_VERSION, Features, weights_sha256
from hambatch.training.head import HeadTrainer
from hambatch.training.options import Augmentation, TrainOptions
from tests.conftest import jpeg_bytes
from tests.pipelines.lanes import why_no_gpu
from tests.training.test_features import small_base
from tests.training.test_fit import training_data

MISSING = ("no driver", "nvidia-smi")


def test_auto_takes_a_gpu_that_is_seen_and_names_it() -> None:
    assert choose("auto", "NVIDIA A100", MISSING) == ("gpu", "NVIDIA A100")
    assert choose("gpu", "NVIDIA A100", MISSING) == ("gpu", "NVIDIA A100")


def test_auto_takes_the_cpu_where_no_gpu_is_seen_and_says_why() -> None:
    assert choose("auto", "", MISSING) == ("cpu", "TensorFlow sees no GPU: no driver")


def test_the_cpu_can_be_asked_for_where_there_is_a_gpu() -> None:
    assert choose("cpu", "NVIDIA A100", MISSING)[0] == "cpu"


def test_a_gpu_that_is_not_seen_is_one_message_with_the_way_out() -> None:
    with pytest.raises(BackendError, match=r"(?s)no driver; wanted one.*\nNext: nvidia-smi, or"):
        choose("gpu", "", MISSING)


@pytest.fixture
def no_gpu() -> None:
    if not why_no_gpu():
        pytest.skip("there is a GPU here")


@pytest.mark.usefixtures("no_gpu")
def test_here_auto_is_the_cpu_and_the_options_say_so() -> None:
    options = TrainOptions(xla=True)
    assert set_up(options) == replace(options, device="cpu")
    assert compute_of(set_up(TrainOptions())) == Compute()


@pytest.mark.usefixtures("no_gpu")
@pytest.mark.parametrize("device", ["auto", "cpu"])
def test_mixed_precision_on_the_cpu_is_refused(device: str) -> None:
    with pytest.raises(InputError, match=r"(?s)--mixed-precision .*is for GPUs.*\nNext: "):
        set_up(TrainOptions(recipe="published", device=device, mixed_precision=True))


def test_fine_tuning_has_mixed_precision_where_the_cpu_multiplies_bfloat16(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("flags : avx2 avx512f avx512_bf16\n")
    refuse_mixed_precision("cpu", "finetune", cpuinfo=cpuinfo)
    with pytest.raises(InputError, match=r"(?s)is for the CPU, found a GPU.*\nNext: "):
        refuse_mixed_precision("gpu", "finetune", cpuinfo=cpuinfo)
    cpuinfo.write_text("flags : avx2 avx512f\n")
    with pytest.raises(InputError, match=r"(?s)multiply bfloat16.* avx2 avx512f\.\nNext: "):
        refuse_mixed_precision("cpu", "finetune", cpuinfo=cpuinfo)
    refuse_mixed_precision("gpu", "published", cpuinfo=cpuinfo)


@pytest.mark.usefixtures("no_gpu")
def test_the_command_without_a_gpu_is_one_message_and_exit_code_1(tmp_path: Path) -> None:
    from tests.cli.test_train import COLUMNS, with_held_out

    (tmp_path / "a.jpg").write_bytes(jpeg_bytes(0))
    row = dict.fromkeys(COLUMNS, "x") | {"dx": "nv", "split": "train", "file": "a.jpg"}
    with_held_out((tmp_path / "split.csv", [row | {"image_id": "1", "sha256": "1" * 64}]))
    (tmp_path / "split.csv.json").write_text(json.dumps({"root": str(tmp_path)}))
    command = [sys.executable, "-m", "hambatch", "train", "--data", "split.csv"]
    options = ["--out", "mine", "--cache", "cache", "--device", "gpu"]
    done = subprocess.run(
        [*command, *options], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 1
    # TensorFlow's own remarks come before.
    message, following = done.stderr.splitlines()[-2:]
    assert message.startswith("Error: TensorFlow sees no GPU: ")
    assert following.startswith("Next: ")
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "cache").exists()


def test_one_gpu_is_shared_with_dali_in_fp32_and_deterministic() -> None:
    tf = pytest.importorskip("tensorflow")
    # Its names and arguments are checked against the real ones.
    config, gpu = create_autospec(tf.config), object()
    use_gpu(config, gpu)
    assert config.mock_calls == [
        call.set_visible_devices([gpu], "GPU"),
        call.experimental.set_memory_growth(gpu, True),
        call.experimental.enable_tensor_float_32_execution(False),
        call.experimental.enable_op_determinism(),
    ]


def features_of(base, folder: Path, compute: Compute) -> Features:
    files = {}
    for k in range(3):
        content = jpeg_bytes(k)
        files[sha256_of_bytes(content)] = folder / f"{k}.jpg"
        (folder / f"{k}.jpg").write_bytes(content)
    return Features(base, files, folder / "cache", Augmentation(), 0, compute)


def rows_of(features: Features) -> np.ndarray:
    return features.read([Pair(image, view) for image in features._files for view in (0, 1)])


def test_the_default_computes_and_caches_as_it_always_did(tmp_path: Path) -> None:
    base = small_base()
    features = features_of(base, tmp_path, Compute())
    key = {
        "weights": weights_sha256(base),
        "input": vars(features._spec),
        "preprocessing": vars(features._how),
        "pipeline": PIPELINE_VERSION,
    }
    name = sha256_of_bytes(json.dumps(key, sort_keys=True).encode())[:24]
    assert features._plain.folder.name == name


@pytest.mark.parametrize(
    "other", [Compute("gpu"), Compute(xla=True), Compute(mixed_precision=True)]
)
def test_what_is_computed_otherwise_is_cached_apart(tmp_path: Path, other: Compute) -> None:
    base = small_base()
    usual, apart = (features_of(base, tmp_path, c) for c in (Compute(), other))
    assert usual._plain.folder != apart._plain.folder
    assert usual._views.folder != apart._views.folder


@pytest.mark.parametrize(
    ("compute", "apart"),
    [
        (Compute(xla=True), 1e-4),
        (Compute(mixed_precision=True), 2e-2),
        pytest.param(Compute("gpu"), 2e-2, marks=pytest.mark.gpu),
        pytest.param(Compute("gpu", xla=True), 2e-2, marks=pytest.mark.gpu),
        pytest.param(Compute("gpu", mixed_precision=True), 2e-2, marks=pytest.mark.gpu),
    ],
    ids=str,
)
def test_features_are_the_cpus_but_for_rounding(
    tmp_path: Path, compute: Compute, apart: float
) -> None:
    if compute.device == "gpu" and (reason := why_no_gpu()):
        pytest.skip(reason)
    base = small_base(pool=16)
    usual = rows_of(features_of(base, tmp_path, Compute()))
    found = rows_of(features_of(base, tmp_path, compute))
    assert found.dtype == np.float32
    assert (found != usual).any()
    assert np.abs(found - usual).max() <= apart * np.abs(usual).max()


def test_features_that_overflow_float16_are_refused(tmp_path: Path) -> None:
    # It sums 32 x 32 values of up to 150.
    features = features_of(small_base(pool=32), tmp_path, Compute(mixed_precision=True))
    with pytest.raises(InputError, match=r"(?s)not finite.*\nNext: .*--mixed-precision"):
        rows_of(features)


def test_the_base_in_mixed_precision_keeps_its_float32_weights() -> None:
    base = build_base(None)
    twin = in_mixed_precision(base)
    convolutions = [layer for layer in twin.layers if "conv" in layer.name]
    assert len(convolutions) > 50
    assert {layer.compute_dtype for layer in convolutions} == {"float16"}
    assert all(weight.dtype == "float32" for weight in twin.weights)
    for ours, theirs in zip(base.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert base.layers[1].compute_dtype == "float32"


def test_the_heads_step_learns_the_same_with_xla() -> None:
    # XLA draws other random numbers.
    options = TrainOptions(hidden_units=16, learning_rate=1e-3, dropout=0.0)
    losses = []
    for xla in (False, True):
        trainer = HeadTrainer(replace(options, xla=xla))
        losses.append([trainer.run_epoch(training_data(), epoch) for epoch in (1, 2)])
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)
