"""Several processes at once: one builds, none spoils what another builds."""

import multiprocessing
import os
import time
from pathlib import Path

from hambatch.backends.tensorrt.plans.cache import plan_cache
from hambatch.system.cache import write_private
from tests.backends.tensorrt.plans.made_plans import CONTENT, KEY, record


def test_two_builds_at_once_leave_one_plan_whole(own_cache: Path) -> None:
    """Interleaved as badly as can be: both plans, then both records."""
    one, two = record(b"one"), record(b"two")
    with plan_cache() as cache:
        for each, content in ((one, b"one"), (two, b"two")):
            write_private(cache.place, each.file, content)
        write_private(cache.place, f"{KEY.name}.json", two.to_json())
        write_private(cache.place, f"{KEY.name}.json", one.to_json())
    with plan_cache() as cache:
        assert cache.find(KEY).content == b"one"


def build_slowly(cache_home: str, began: "multiprocessing.synchronize.Event") -> None:
    os.environ["XDG_CACHE_HOME"] = cache_home
    with plan_cache() as cache, cache.alone(KEY):
        began.set()
        # Long enough that the other would be caught without the lock.
        time.sleep(0.3)
        cache.keep(record(), CONTENT)


def test_who_comes_second_waits_and_takes_what_the_first_built(own_cache: Path) -> None:
    context = multiprocessing.get_context("spawn")
    began = context.Event()
    first = context.Process(target=build_slowly, args=(str(own_cache.parents[1]), began))
    first.start()
    assert began.wait(60)
    with plan_cache() as cache, cache.alone(KEY):
        assert cache.find(KEY).content == CONTENT
    first.join(20)
    assert first.exitcode == 0


def test_timings_are_kept_whole_or_not_at_all(own_cache: Path) -> None:
    with plan_cache() as cache:
        assert cache.timing("one") == b""
        cache.keep_timing("one", b"how long\nkernels take")
        assert cache.timing("one") == b"how long\nkernels take"
        path = own_cache / "one.timing"
        path.write_bytes(path.read_bytes()[:-1])
        assert cache.timing("one") == b""
