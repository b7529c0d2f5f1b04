"""The training device: chosen with a reason, refused with a way out, set up before use."""

import json
from dataclasses import replace
from pathlib import Path
from unittest.mock import call, create_autospec

import pytest
from click.testing import CliRunner

from hambatch.cli.train import train
from hambatch.errors import BackendError, InputError
from hambatch.training.compute import choose_device, refuse_mixed_precision, set_up, use_gpu
from hambatch.training.options import TrainOptions
from tests.cli.test_train import COLUMNS, with_held_out
from tests.conftest import jpeg_bytes
from tests.pipelines.lanes import why_no_gpu

MISSING = ("no driver", "nvidia-smi")


def test_auto_takes_a_gpu_that_is_seen_and_names_it() -> None:
    assert choose_device("auto", "NVIDIA A100", MISSING) == ("gpu", "NVIDIA A100")
    assert choose_device("gpu", "NVIDIA A100", MISSING) == ("gpu", "NVIDIA A100")


def test_auto_takes_the_cpu_where_no_gpu_is_seen_and_says_why() -> None:
    assert choose_device("auto", "", MISSING) == ("cpu", "TensorFlow sees no GPU: no driver")


def test_the_cpu_can_be_named_where_there_is_a_gpu() -> None:
    assert choose_device("cpu", "NVIDIA A100", MISSING)[0] == "cpu"


def test_a_gpu_that_is_not_seen_is_one_message_with_the_way_out() -> None:
    with pytest.raises(BackendError, match=r"(?s)no driver; wanted one.*\nNext: nvidia-smi, or"):
        choose_device("gpu", "", MISSING)


@pytest.fixture
def no_gpu() -> None:
    if not why_no_gpu():
        pytest.skip("there is a GPU here")


@pytest.mark.usefixtures("no_gpu")
def test_here_auto_is_the_cpu_and_the_options_say_so() -> None:
    options = TrainOptions(xla=True)
    assert set_up(options) == replace(options, device="cpu")


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
def test_the_command_without_a_gpu_is_one_message_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(jpeg_bytes(0))
    row = dict.fromkeys(COLUMNS, "x") | {"dx": "nv", "split": "train", "file": "a.jpg"}
    with_held_out((tmp_path / "split.csv", [row | {"image_id": "1", "sha256": "1" * 64}]))
    (tmp_path / "split.csv.json").write_text(json.dumps({"root": str(tmp_path)}))
    where = ["--data", "split.csv", "--out", "mine", "--cache", "cache"]
    arguments = [str(tmp_path / text) if text[0] != "-" else text for text in where]
    result = CliRunner().invoke(train, [*arguments, "--device", "gpu"])
    assert isinstance(result.exception, BackendError)
    message, following = str(result.exception).splitlines()
    assert message.startswith("TensorFlow sees no GPU: ")
    assert following.startswith("Next: ")
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
