"""Which inherited settings stay and which go."""

import os

import pytest

from hambatch.system.inherited import settle_environment


def test_limits_stay_and_settings_of_libraries_go(monkeypatch: pytest.MonkeyPatch) -> None:
    stays = {"OMP_NUM_THREADS": "2", "CUDA_VISIBLE_DEVICES": "1", "KERAS_HOME": "/k", "HOME": "/h"}
    goes = {"DALI_PRELOAD_PLUGINS": "/x.so", "KERAS_MAX_STEPS_PER_EPOCH": "1", "OMP_PLACES": "0"}
    monkeypatch.setattr(os, "environ", {**stays, **goes})
    settle_environment()
    assert os.environ == {**stays, "KERAS_BACKEND": "tensorflow"}
