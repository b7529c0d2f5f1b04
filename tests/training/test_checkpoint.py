"""A training's checkpoint: whole, its own, and read without running anything."""

import json
from pathlib import Path

import numpy as np
import pytest

from hambatch.errors import InputError
from hambatch.training.checkpoint import Checkpoint
from hambatch.training.finetuning.run import Progress, Validation
from hambatch.training.published.head import Epochs

GROUPS = {"weights": {"a/kernel": np.arange(3.0)}, "means": {"a/kernel": np.ones(2)}, "best": {}}
PROGRESS = Progress(7, 1 / 3, 2.5, (Validation(5, 1e-4, 1.5, 1.25, 0.5, 1 / 3, 9.0),))


def checkpoint(folder: Path, **fingerprint: object) -> Checkpoint[Progress]:
    return Checkpoint(folder / "steps.npz", fingerprint, Progress)


def test_what_was_saved_comes_back_to_the_last_bit(tmp_path: Path) -> None:
    assert checkpoint(tmp_path).load() is None
    checkpoint(tmp_path, seed=1).save(PROGRESS, GROUPS)
    progress, groups = checkpoint(tmp_path, seed=1).load()
    assert progress == PROGRESS
    assert groups.keys() == {"weights", "means"}
    np.testing.assert_array_equal(groups["weights"]["a/kernel"], [0, 1, 2])


def test_that_of_another_run_is_refused_naming_what_differs(tmp_path: Path) -> None:
    checkpoint(tmp_path, seed=0, steps=4).save(PROGRESS, GROUPS)
    with pytest.raises(InputError) as refusal:
        checkpoint(tmp_path, seed=1, steps=4).load()
    assert "seed was 0, is 1." in str(refusal.value)
    assert "steps was" not in str(refusal.value)
    assert f"Next: choose another --out, or delete {tmp_path}" in str(refusal.value)


@pytest.mark.parametrize(
    "content", [b"", b"PK\x03\x04 junk", None], ids=["empty", "junk", "pickle"]
)
def test_a_damaged_one_is_refused(tmp_path: Path, content: bytes | None) -> None:
    if content is None:
        np.savez(tmp_path / "steps.npz", about=np.array([{"a": 1}], object))
    else:
        (tmp_path / "steps.npz").write_bytes(content)
    with pytest.raises(InputError, match=r"steps\.npz is damaged"):
        checkpoint(tmp_path).load()


def test_one_of_another_version_is_refused_and_the_field_named(tmp_path: Path) -> None:
    # As the published recipe's was once.
    about = json.dumps({"fingerprint": {}, "history": []})
    np.savez(tmp_path / "log.npz", about=np.array(about))
    with pytest.raises(InputError, match=r"of another version of hambatch: progress is missing"):
        Checkpoint(tmp_path / "log.npz", {}, Epochs).load()


def test_a_loss_that_is_no_number_can_be_read_again(tmp_path: Path) -> None:
    line = Validation(5, 1e-4, float("nan"), 1.25, 0.5, 1 / 3, 9.0)
    checkpoint(tmp_path).save(Progress(7, history=(line,)), GROUPS)
    assert np.isnan(checkpoint(tmp_path).load()[0].history[0].train_loss)
    assert ",nan," in (tmp_path / "steps.csv").read_text()


def test_a_folder_that_cannot_be_made_is_one_message_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"(?s)cannot make the work folder.*\nNext: name an --out"):
        checkpoint(tmp_path / "file" / "work")


def test_what_a_kill_left_half_written_is_cleared_away(tmp_path: Path) -> None:
    checkpoint(tmp_path).save(PROGRESS, GROUPS)
    (tmp_path / ".steps.npz.4711.tmp").write_bytes(b"half")
    assert checkpoint(tmp_path).load() is not None
    assert {path.name for path in tmp_path.iterdir()} == {"steps.npz", "steps.csv"}
