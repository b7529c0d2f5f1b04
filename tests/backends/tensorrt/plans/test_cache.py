"""A plan is native code: only what was built here, for this very key, is ever loaded."""

import json
import multiprocessing
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from hambatch.backends.tensorrt.plans.cache import NoPlan, plan_cache
from hambatch.backends.tensorrt.plans.kept import plan_lines, prune_plans
from hambatch.backends.tensorrt.plans.record import PlanKey
from hambatch.errors import InputError
from hambatch.system.cache import write_private
from tests.backends.tensorrt.plans.made_plans import CONTENT, KEY, OTHERS, record
from tests.waiting import HANGS_S


@pytest.fixture
def folder(own_cache: Path) -> Path:
    with plan_cache() as cache:
        cache.keep(record(), CONTENT)
    return own_cache


def found(key: PlanKey = KEY) -> bytes:
    with plan_cache() as cache:
        return cache.find(key).content


def paths(folder: Path) -> tuple[Path, Path]:
    """The plan and its record."""
    (plan,), (described,) = folder.glob("*.plan"), folder.glob("*.json")
    return plan, described


def test_what_was_kept_is_found_with_its_record(folder: Path) -> None:
    with plan_cache() as cache:
        kept = cache.find(KEY)
    assert kept.content == CONTENT
    assert kept.record == record()
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in paths(folder)} == {0o600}


def test_the_others_are_all_parts_of_a_key() -> None:
    assert set(OTHERS) == set(PlanKey.__struct_fields__)


@pytest.mark.parametrize("part", OTHERS)
def test_another_part_of_the_key_finds_nothing_and_is_named(folder: Path, part: str) -> None:
    wanted = replace(KEY, **{part: OTHERS[part]})
    assert wanted.name != KEY.name
    with pytest.raises(NoPlan) as none:
        found(wanted)
    assert f"the nearest has {part} {getattr(KEY, part)}, wanted {OTHERS[part]}" == str(none.value)


def test_an_empty_folder_says_that_none_was_built(own_cache: Path) -> None:
    with pytest.raises(NoPlan, match="none was built yet"):
        found()


def test_the_nearest_of_several_is_named(folder: Path) -> None:
    with plan_cache() as cache:
        cache.keep(record(b"b", precision="int8", driver="1", gpu="Other"), b"b")
    with pytest.raises(NoPlan, match=r"^the nearest has driver 580.1, wanted 2$"):
        found(replace(KEY, driver="2"))


def flip(plan: Path, described: Path) -> None:
    content = bytearray(plan.read_bytes())
    content[len(content) // 2] ^= 1
    plan.write_bytes(content)


def cut(plan: Path, described: Path) -> None:
    plan.write_bytes(plan.read_bytes()[:-1])


def empty(plan: Path, described: Path) -> None:
    plan.write_bytes(b"")


def remove(plan: Path, described: Path) -> None:
    plan.unlink()


def link(plan: Path, described: Path) -> None:
    elsewhere = plan.parent.parent / "elsewhere"
    plan.rename(elsewhere)
    plan.symlink_to(elsewhere)


def pipe(plan: Path, described: Path) -> None:
    plan.unlink()
    os.mkfifo(plan, 0o600)


def open_plan(plan: Path, described: Path) -> None:
    plan.chmod(0o666)


def readable_plan(plan: Path, described: Path) -> None:
    plan.chmod(0o640)


def open_record(plan: Path, described: Path) -> None:
    described.chmod(0o666)


def no_record(plan: Path, described: Path) -> None:
    described.unlink()


def half_a_record(plan: Path, described: Path) -> None:
    described.write_bytes(described.read_bytes()[:100])


def record_of_another(plan: Path, described: Path) -> None:
    raw = json.loads(described.read_text())
    raw["key"]["driver"] = "1"
    described.write_text(json.dumps(raw))


def record_with_a_field_more(plan: Path, described: Path) -> None:
    raw = json.loads(described.read_text())
    described.write_text(json.dumps({**raw, "surprise": 1}))


def record_of_later(plan: Path, described: Path) -> None:
    raw = json.loads(described.read_text())
    described.write_text(json.dumps({**raw, "format": 2}))


DAMAGE = {
    flip: "the plan is damaged: 693 bytes with sha256",
    cut: "the plan is damaged: 692 bytes",
    empty: "the plan is damaged: 0 bytes",
    remove: "No such file",
    link: "Too many levels of symbolic links",
    pipe: "is no regular file",
    open_plan: "plan is open to other users; chmod 600",
    readable_plan: "plan is open to other users",
    open_record: "json is open to other users",
    no_record: "none was built yet",
    half_a_record: "is no record of a plan",
    record_of_another: "its record is of another plan: driver 1, wanted 580.1",
    record_with_a_field_more: "surprise",
    record_of_later: "its format is 2, wanted 1",
}


@pytest.mark.parametrize(
    ("damage", "says"), DAMAGE.items(), ids=lambda x: getattr(x, "__name__", "")
)
def test_a_damaged_plan_is_refused_and_building_again_repairs_it(
    folder: Path, damage: Callable[[Path, Path], None], says: str
) -> None:
    damage(*paths(folder))
    with pytest.raises(NoPlan, match=says):
        found()
    with plan_cache() as cache:
        cache.keep(record(), CONTENT)
    assert found() == CONTENT


@pytest.mark.parametrize("content", ["[]", '{"format": 1, "sha256": "\\ud800"}', "\0"])
def test_a_record_of_wrong_types_is_damage_to_every_command(folder: Path, content: str) -> None:
    plan, described = paths(folder)
    described.write_text(content)
    with pytest.raises(NoPlan, match="is no record of a plan"):
        found()
    (line,) = plan_lines()
    assert "damaged: " in line
    assert line.isprintable()
    assert prune_plans(everything=False).removed == 1
    assert not plan.exists()
    assert not described.exists()


def test_a_folder_in_place_of_a_record_or_a_lock_is_named(folder: Path) -> None:
    _, described = paths(folder)
    described.unlink()
    described.mkdir()
    with pytest.raises(NoPlan, match="is no regular file"):
        found()
    with plan_cache() as cache, pytest.raises(InputError, match=r"(?s)Next: remove the folder"):
        cache.keep(record(), CONTENT)
    (folder / f"{KEY.name}.lock").mkdir()
    with pytest.raises(InputError, match=r"(?s)cannot be locked.*Next: remove the folder"):
        lock_it()


def lock_it() -> None:
    with plan_cache() as cache, cache.building(KEY):
        pass


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o755, 0o720])
def test_a_folder_that_others_can_enter_is_refused(folder: Path, mode: int) -> None:
    folder.chmod(mode)
    with pytest.raises(InputError, match=r"(?s)is open to other users.*Next: chmod 700"):
        found()


def test_what_belongs_to_another_user_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    true = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: true + 1)
    with pytest.raises(InputError, match="belongs to another user") as refused:
        found()
    assert "chmod" not in str(refused.value)
    assert "Next: set XDG_CACHE_HOME" in str(refused.value)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_plan_of_another_user_is_refused(folder: Path) -> None:
    os.chown(paths(folder)[0], 12345, -1)
    with pytest.raises(NoPlan, match=r"plan belongs to another user"):
        found()


def test_a_link_in_place_of_the_folder_is_refused(folder: Path) -> None:
    folder.rename(folder.parent / "elsewhere")
    folder.symlink_to(folder.parent / "elsewhere")
    with pytest.raises(InputError, match="is a symbolic link, wanted a folder"):
        found()


def test_a_user_without_a_home_gets_the_variable_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setenv("HOME", "nowhere")
    with pytest.raises(InputError, match="XDG_CACHE_HOME"):
        found()


def test_a_full_disk_leaves_the_old_plan(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with plan_cache() as cache, pytest.raises(InputError, match="No space left"):
        cache.keep(record(b"new"), b"new")
    assert found() == CONTENT
    assert len(list(folder.iterdir())) == 2


def test_a_new_plan_of_the_same_key_replaces_the_old_one(folder: Path) -> None:
    with plan_cache() as cache:
        cache.keep(record(b"new"), b"new")
    assert found() == b"new"
    assert len(list(folder.glob("*.plan"))) == 1


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
    with plan_cache() as cache, cache.building(KEY):
        began.set()
        # Long enough that the other would be caught without the lock.
        time.sleep(0.3)
        cache.keep(record(), CONTENT)


def test_a_second_build_waits_and_reads_what_the_first_one_built(own_cache: Path) -> None:
    context = multiprocessing.get_context("spawn")
    began = context.Event()
    first = context.Process(target=build_slowly, args=(str(own_cache.parents[1]), began))
    first.start()
    assert began.wait(HANGS_S)
    with plan_cache() as cache, cache.building(KEY):
        assert cache.find(KEY).content == CONTENT
    first.join()
    assert first.exitcode == 0


def test_timings_are_kept_whole_or_not_at_all(own_cache: Path) -> None:
    with plan_cache() as cache:
        assert cache.timing("one") == b""
        cache.keep_timing("one", b"how long\nkernels take")
        assert cache.timing("one") == b"how long\nkernels take"
        path = own_cache / "one.timing"
        path.write_bytes(path.read_bytes()[:-1])
        assert cache.timing("one") == b""
