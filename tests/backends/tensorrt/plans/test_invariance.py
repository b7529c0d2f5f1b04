"""A plan whose scores depend on where an image lies is refused, whatever the dependence."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest

from hambatch.backends.tensorrt.plans.invariance import (
    Images,
    Invariance,
    Predict,
    batch_sizes,
    measure_invariance,
    refuse_drift,
)
from hambatch.errors import EngineError
from hambatch.system.schema import read_json
from tests.backends.tensorrt.plans.rtx import openvino_predict

MOST = 8
TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def true(tiny_engine: Path) -> Predict:
    return openvino_predict((tiny_engine / "model.onnx").read_bytes())


@pytest.fixture(scope="module")
def images() -> Images:
    return np.random.default_rng(3).integers(0, 256, (4, 224, 224, 3), np.uint8)


def test_openvino_scores_are_the_same_in_every_place(true: Predict, images: Images) -> None:
    found = measure_invariance(true, images, MOST, tolerance=TOLERANCE)
    assert found.max_difference <= 1e-6
    assert found.max_logit_difference <= 1e-6
    assert found.holds
    assert (found.images, found.batch_sizes) == (4, (1, 2, 5, 7, 8))
    refuse_drift(found, "fp16")


def last_slot(true: Predict, images: Images) -> np.ndarray:
    logits = true(images)
    if len(images) == MOST:
        logits[-1] *= 1.01
    return logits


def one_size(true: Predict, images: Images) -> np.ndarray:
    return true(images) * (1.01 if len(images) == 5 else 1)


def neighbour(true: Predict, images: Images) -> np.ndarray:
    logits = true(images)
    return logits + 0.01 * np.roll(logits, 1, axis=0) if len(images) > 1 else logits


def copies(true: Predict, images: Images) -> np.ndarray:
    logits = true(images)
    if len(images) == MOST and (images == images[0]).all():
        logits[3] *= 1.01
    return logits


def swapped(true: Predict, images: Images) -> np.ndarray:
    logits = true(images)
    logits[:2] = logits[:2][::-1].copy()
    return logits


def no_number(true: Predict, images: Images) -> np.ndarray:
    logits = true(images)
    logits[-1, 2] = np.nan if len(images) == 2 else logits[-1, 2]
    return logits


FAULTS = {
    last_slot: r"in slot 7 of 8",
    one_size: r"in slot . of 5\.",
    neighbour: r"in slot",
    copies: r"in slot 3 of 8",
    swapped: r"in slot",
    no_number: r"(?s)differs by up to nan.*in slot 1 of 2\.",
}


@pytest.mark.parametrize(
    ("fault", "says"), FAULTS.items(), ids=lambda x: getattr(x, "__name__", "")
)
def test_a_seeded_fault_is_refused_and_placed(
    true: Predict, images: Images, fault: Callable[[Predict, Images], np.ndarray], says: str
) -> None:
    found = measure_invariance(lambda batch: fault(true, batch), images, MOST, tolerance=TOLERANCE)
    assert not found.holds
    with pytest.raises(EngineError, match=says):
        refuse_drift(found, "fp16")


@pytest.mark.parametrize(("precision", "offered"), [("int8", True), ("fp32", False)])
def test_the_next_command_is_another_than_what_was_refused(precision: str, offered: bool) -> None:
    with pytest.raises(EngineError) as refused:
        refuse_drift(Invariance(1.0, TOLERANCE, 0.0, 1e-3, 4, (1, 2)), precision)
    command = str(refused.value).partition("Next: ")[2]
    assert command.startswith(f"hambatch build --precision {precision} --rebuild")
    assert ("or --precision fp32" in command) is offered


def test_every_image_visits_every_slot_of_every_size() -> None:
    seen = set()

    def notes(batch: Images) -> np.ndarray:
        for slot, image in enumerate(batch):
            seen.add((int(image[0, 0, 0]), slot, len(batch)))
        return np.zeros((len(batch), 7), np.float32)

    images = np.zeros((4, 2, 2, 3), np.uint8) + np.arange(4, dtype=np.uint8)[:, None, None, None]
    measure_invariance(notes, images, 6, tolerance=1e-4)
    sizes = batch_sizes(6)
    assert sizes == (1, 2, 3, 5, 6)
    assert seen == {(i, slot, size) for size in sizes for slot in range(size) for i in range(4)}


@pytest.mark.parametrize(("most", "sizes"), [(1, (1,)), (2, (1, 2)), (32, (1, 2, 17, 31, 32))])
def test_sizes_are_never_over_the_largest(most: int, sizes: tuple[int, ...]) -> None:
    assert batch_sizes(most) == sizes


def test_what_is_recorded_is_read_back(true: Predict, images: Images) -> None:
    found = measure_invariance(true, images, 2, tolerance=TOLERANCE)
    assert read_json(msgspec.json.encode(found), Invariance) == found
