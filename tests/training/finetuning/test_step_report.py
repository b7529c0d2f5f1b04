"""The time that is left: crops cost less than the whole views that come after them."""

from dataclasses import replace

import pytest

from hambatch.training.finetuning.run import StepReport
from hambatch.training.options import FineTuneOptions

TUNE = FineTuneOptions(steps=100, crop_side=112, crop_share=0.8)


def test_steps_alike_take_alike():
    report = StepReport(10, replace(TUNE, crop_share=0.0))
    assert report.left_s(30, 40.0) == pytest.approx(70 * 2.0)


def test_whole_views_are_expected_to_take_as_much_longer_as_they_are_larger():
    # 112 pixels a side are a quarter of 224: 10 s a step by 2.5 s a step.
    assert StepReport(0, TUNE).left_s(40, 100.0) == pytest.approx(40 * 2.5 + 20 * 10.0)
    assert StepReport(0, TUNE).left_s(80, 200.0) == pytest.approx(20 * 10.0)
    assert StepReport(80, TUNE).left_s(90, 80.0) == pytest.approx(10 * 8.0)


def test_nothing_is_left_after_the_step_that_a_final_training_stops_at():
    final = replace(TUNE, final=True, stop_step=85)
    assert StepReport(0, final).left_s(40, 100.0) == pytest.approx(40 * 2.5 + 5 * 10.0)
    assert StepReport(0, final).left_s(85, 250.0) == 0.0
