"""Features on disk: added block by block, whole or not at all."""

from pathlib import Path

import numpy as np
import pytest

from hambatch.errors import InputError
from hambatch.system.array_cache import FeatureCache, Pair, default_cache

PAIRS = [Pair("aa", 0), Pair("bb", 0), Pair("aa", 1)]


def rows(start: int, count: int) -> np.ndarray:
    return np.arange(start, start + count, dtype=np.float32)[:, None].repeat(2048, 1)


def test_what_was_added_is_read_by_the_next_run_in_any_order(tmp_path: Path):
    cache = FeatureCache(tmp_path, 2048)
    cache.append(PAIRS[:2], rows(0, 2))
    cache.append(PAIRS[2:], rows(2, 1))
    reopened = FeatureCache(tmp_path, 2048)
    assert all(pair in reopened for pair in PAIRS)
    assert Pair("bb", 1) not in reopened
    wanted = [PAIRS[k] for k in (2, 0, 1, 0)]
    assert reopened.read(wanted)[:, 0].tolist() == [2, 0, 1, 0]


def test_two_runs_that_add_at_once_lose_nothing(tmp_path: Path):
    one, other = FeatureCache(tmp_path, 2048), FeatureCache(tmp_path, 2048)
    one.append(PAIRS[:2], rows(0, 2))
    other.append(PAIRS[1:], rows(1, 2))
    assert FeatureCache(tmp_path, 2048).read(PAIRS)[:, 0].tolist() == [0, 1, 2]


def test_a_block_whose_index_was_never_written_does_not_count(tmp_path: Path):
    cache = FeatureCache(tmp_path, 2048)
    cache.append(PAIRS, rows(0, 3))
    next(tmp_path.glob("*.json")).unlink()
    assert PAIRS[0] not in FeatureCache(tmp_path, 2048)


@pytest.mark.parametrize(
    "damage",
    [
        lambda block: block.write_bytes(block.read_bytes()[:-100]),
        lambda block: np.save(block, rows(0, 2)),
        lambda block: np.save(block, np.array([{"a": 1}], object)),
        lambda block: block.unlink(),
        lambda block: block.with_suffix(".json").write_text("{"),
    ],
    ids=["truncated", "short", "pickle", "gone", "index"],
)
def test_a_damaged_block_is_refused_by_name_with_the_way_out(tmp_path: Path, damage):
    FeatureCache(tmp_path, 2048).append(PAIRS, rows(0, 3))
    block = next(tmp_path.glob("*.npy"))
    damage(block)
    with pytest.raises(InputError, match=f"{block.stem}.*\n.*delete"):
        FeatureCache(tmp_path, 2048)


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="--cache"):
        FeatureCache(tmp_path / "file" / "cache", 2048)


def test_the_default_cache_follows_the_xdg_specification(monkeypatch, tmp_path: Path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache() == tmp_path / "hambatch" / "features"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative/is/ignored")
    assert default_cache() == Path.home() / ".cache" / "hambatch" / "features"
