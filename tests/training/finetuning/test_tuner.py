"""The compiled step: what it trains and what it leaves alone; its state is all there is."""

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest

from hambatch.system.cpu import multiplies_bfloat16
from hambatch.training.finetuning.tuner import WEIGHTS
from tests.training.finetuning.tiny import OPTIONS, TUNE, tuner_of, tuning_data


@pytest.fixture(scope="module")
def batches(tmp_path_factory):
    data = tuning_data(tmp_path_factory.mktemp("images"))
    none = np.zeros((OPTIONS.batch_size, 7), np.float32)
    return [batch._replace(added=none) for batch in islice(data.batches(0, OPTIONS), 6)]


def tuner(**changes):
    return tuner_of(replace(OPTIONS, finetune=replace(OPTIONS.finetune, **changes)))


def same(one, other) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        np.testing.assert_array_equal(value, other[name])


def values_of(base) -> dict:
    return {weight.path: weight.numpy() for weight in base.weights}


@pytest.mark.parametrize(
    ("unfreeze", "stages"),
    [("conv5", {"conv5"}), ("conv4", {"conv4", "conv5"}), ("conv3", {"conv3", "conv4", "conv5"})],
)
def test_convolutions_from_the_stage_up_are_trained_and_nothing_else(
    batches, unfreeze, stages
) -> None:
    tuned = tuner(unfreeze=unfreeze)
    before = values_of(tuned.base)
    for number, batch in enumerate(batches[:2], 1):
        tuned.step(number, batch)
    after = values_of(tuned.base)
    changed = {path for path, value in before.items() if (value != after[path]).any()}
    wanted = {f"{stage}_block1_1_conv/{kind}" for stage in stages for kind in ("kernel", "bias")}
    assert changed == wanted
    assert {w.path for w in tuned.trained} - wanted == {w.path for w in tuned.head.weights}


def test_the_first_steps_train_the_head_alone_and_then_the_optimizer_begins_anew(batches) -> None:
    tuned, plain = (
        tuner_of(replace(OPTIONS, dropout=0.0, finetune=replace(TUNE, head_steps=n)))
        for n in (2, 0)
    )
    before = values_of(tuned.base)
    for number, batch in enumerate(batches[:2], 1):
        tuned.step(number, batch)
    same(values_of(tuned.base), before)
    # From here on as a run that begins with this head.
    plain.put(tuned.state()[WEIGHTS])
    tuned.step(3, batches[2])
    plain.step(1, batches[2])
    same(values_of(tuned.base), values_of(plain.base))
    assert (
        values_of(tuned.base)["conv4_block1_1_conv/kernel"] != before["conv4_block1_1_conv/kernel"]
    ).any()


def test_lower_stages_learn_less_and_biases_do_not_decay() -> None:
    tuned = tuner(base_rate=0.2, stage_decay=0.5)
    rates = {w.path.split("_")[0].split("/")[0]: w.rate for w in tuned.trained}
    assert rates == {"head": 1.0, "conv5": 0.2, "conv4": 0.1}
    assert all(w.decays == w.path.endswith("kernel") for w in tuner().trained)


def test_crops_train_the_same_weights(batches) -> None:
    tuned = tuner()
    crops = batches[0]._replace(images=batches[0].images[:, :96, :96])
    before = tuned.state()[WEIGHTS]
    assert np.isfinite(tuned.step(1, crops))
    after = tuned.state()[WEIGHTS]
    assert all((after[path] != value).any() for path, value in before.items() if "kernel" in path)
    assert np.isfinite(tuned.step(2, batches[0]))


def test_mixup_changes_a_step_the_same_way_every_time(batches) -> None:
    losses = [tuner(mixup=mixup).step(3, batches[0]) for mixup in (0.0, 0.4, 0.4)]
    assert losses[0] != losses[1] == losses[2]


def test_a_batch_seen_again_and_again_is_learnt(batches) -> None:
    tune = replace(OPTIONS.finetune, peak_learning_rate=1e-2, label_smoothing=0.0)
    tuned = tuner_of(replace(OPTIONS, dropout=0.0, finetune=tune))
    losses = [tuned.step(number, batches[0]) for number in range(1, 13)]
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.parametrize("head_steps", [0, 2, 3])
def test_a_restored_state_goes_on_bit_for_bit(batches, head_steps) -> None:
    one, other = tuner(head_steps=head_steps), tuner(head_steps=head_steps)
    for number in (1, 2):
        one.step(number, batches[number])
    other.restore(one.state())
    for number in (3, 4):
        assert one.step(number, batches[number]) == other.step(number, batches[number])
    for group, values in one.state().items():
        same(values, other.state()[group])


def test_averages_are_lent_and_weights_come_back_bit_for_bit(batches) -> None:
    tuned = tuner()
    for number in (1, 2):
        tuned.step(number, batches[number])
    before, plain = tuned.state(), tuned.logits([batches[0][0]])
    with tuned.averaged() as averages:
        same(tuned.state()[WEIGHTS], averages)
        assert (tuned.logits([batches[0][0]]) != plain).any()
    same(tuned.state()[WEIGHTS], before[WEIGHTS])


def test_a_part_batch_is_scored_as_in_a_whole_one(batches) -> None:
    tuned, images = tuner(), batches[0][0]
    whole = tuned.logits([images])
    np.testing.assert_array_equal(tuned.logits([images[:3]]), whole[:3])


def test_it_learns_without_dropout_too(batches) -> None:
    tuned = tuner_of(replace(OPTIONS, dropout=0.0))
    assert np.isfinite(tuned.step(1, batches[0]))


def test_compiled_with_xla_it_takes_the_same_step(batches) -> None:
    # XLA draws other random numbers.
    options = replace(OPTIONS, dropout=0.0)
    losses = []
    for xla in (False, True):
        tuned = tuner_of(replace(options, xla=xla))
        losses.append([tuned.step(number, batches[number]) for number in (1, 2, 3)])
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)


@pytest.mark.skipif(not multiplies_bfloat16(), reason="this processor has no bfloat16")
def test_in_bfloat16_a_step_is_nearly_the_same_and_what_is_validated_is_float32(batches) -> None:
    exact, mixed = (
        tuner_of(replace(OPTIONS, dropout=0.0, mixed_precision=mixed)) for mixed in (False, True)
    )
    losses = np.array([[t.step(k, batches[k]) for k in (1, 2, 3)] for t in (exact, mixed)])
    assert (losses[0] != losses[1]).any()
    np.testing.assert_allclose(losses[0], losses[1], rtol=0.02)
    exact.restore(mixed.state())
    images = [batches[0][0]]
    np.testing.assert_array_equal(mixed.logits(images), exact.logits(images))


@pytest.mark.skipif(not multiplies_bfloat16(), reason="this processor has no bfloat16")
def test_in_bfloat16_a_restored_state_goes_on_bit_for_bit(batches) -> None:
    one, other = (tuner_of(replace(OPTIONS, mixed_precision=True)) for _ in range(2))
    for number in (1, 2):
        one.step(number, batches[number])
    other.restore(one.state())
    assert one.step(3, batches[3]) == other.step(3, batches[3])
    for group, values in one.state().items():
        same(values, other.state()[group])


def test_adjusted_logits_are_those_of_the_loss_alone(batches) -> None:
    # What the loss sees with nothing added to a head of the same biases.
    added = np.log(np.arange(1, 8) / 28).astype(np.float32)
    options = replace(OPTIONS, dropout=0.0)
    adjusted, plain = tuner_of(options), tuner_of(options)
    bias = plain.head.layers[-1].bias
    assert not bias.numpy().any()
    bias.assign(added)
    for number in (1, 2, 3):
        batch = batches[number]
        more = batch._replace(added=batch.added + added)
        losses = [adjusted.step(number, more), plain.step(number, batch)]
        np.testing.assert_allclose(*losses, rtol=1e-5)
    scores = [tuned.logits([batches[0][0]]) for tuned in (plain, adjusted)]
    np.testing.assert_allclose(scores[0] - scores[1], np.tile(added, (8, 1)), atol=1e-3)
