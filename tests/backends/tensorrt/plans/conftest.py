"""The default engine, its graphs, and its sentinels, read once."""

from pathlib import Path

import pytest

from hambatch.backends.tensorrt.plans.fp16 import to_fp16
from hambatch.backends.tensorrt.plans.invariance import Images
from hambatch.backends.tensorrt.plans.trial import decode_sentinels
from hambatch.engines.loading import Engine, find_engine, load_engine
from hambatch.engines.options import DEFAULT_ENGINE


@pytest.fixture(scope="session")
def default_engine() -> Engine:
    return load_engine(find_engine(DEFAULT_ENGINE))


@pytest.fixture(scope="session")
def fp32(default_engine: Engine) -> bytes:
    return (default_engine.folder / "model.onnx").read_bytes()


@pytest.fixture(scope="session")
def half(fp32: bytes) -> bytes:
    return to_fp16(fp32)


@pytest.fixture(scope="session")
def sentinels(default_engine: Engine) -> Images:
    return decode_sentinels(default_engine)


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's cache of the test's own; the folder of plans in it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "hambatch" / "plans"
