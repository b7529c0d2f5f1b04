"""What was tuned is kept privately, and used only where it was measured."""

import json
import re
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hambatch.engines.manifest import EngineFile, Manifest, read_manifest
from hambatch.engines.tuned import Kept, Tuning, forget_tuning, kept_tuning, tuning_folder
from hambatch.errors import InputError
from hambatch.system import cpu
from hambatch.system.files import with_checksum
from tests.engines.int8_engine import with_int8
from tests.engines.own_images import keep, tuning_of


@pytest.fixture(scope="module")
def manifest(tiny_engine: Path, tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return read_manifest(with_int8(tiny_engine, tmp_path_factory.mktemp("int8") / "tiny"))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's cache; nothing is in it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "mine"))
    return tmp_path / "mine" / "hambatch" / "tuned"


@pytest.fixture
def file(cache: Path, manifest: Manifest) -> Path:
    """The file of a measurement."""
    keep(manifest, tuning_of(manifest))
    (found,) = cache.iterdir()
    return found


def test_it_is_read_as_it_was_kept_and_no_other_user_can_read_it(
    file: Path, manifest: Manifest
) -> None:
    assert kept_tuning(manifest) == Kept(tuning_of(manifest))
    assert [stat.S_IMODE(path.stat().st_mode) for path in (file, file.parent)] == [0o600, 0o700]
    # A second measurement takes the place of the first.
    keep(manifest, tuning_of(manifest, flips=5))
    assert kept_tuning(manifest) == Kept(tuning_of(manifest, flips=5))
    assert list(file.parent.iterdir()) == [file]


def test_the_file_holds_counts_and_hashes_and_nothing_of_the_images(file: Path) -> None:
    values = json.loads(file.read_text())
    assert values.keys() == {
        *("date", "images", "images_per_s", "precisions", "graphs", "instruction_set"),
        *("versions", "format", "sha256"),
    }
    assert {key for one in values["precisions"] for key in one} == {
        *("precision", "label_flips", "drift", "largest_drift", "images_per_s"),
    }


def test_looking_for_it_makes_no_folder(cache: Path, manifest: Manifest) -> None:
    assert kept_tuning(manifest) == Kept()
    assert not forget_tuning(manifest)
    assert not cache.exists()


def test_it_can_be_forgotten(file: Path, manifest: Manifest) -> None:
    assert forget_tuning(manifest)
    assert kept_tuning(manifest) == Kept()
    assert not file.exists()


Change = Callable[[dict[str, Any]], dict[str, Any]]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda v: v | {"versions": {**v["versions"], "openvino": "1"}}, "openvino was 1, is "),
        (lambda v: v | {"graphs": {**v["graphs"], "int8": "0" * 64}}, "of other graphs"),
        (lambda v: v | {"graphs": {**v["graphs"], "fp32": "0" * 64}}, "of other graphs"),
        (lambda v: v | {"instruction_set": "x86_64 sse4_2"}, "of another machine"),
        (lambda v: v | {"images": 99}, "images is 99"),
        (lambda v: v | {"images_per_s": 0}, "images_per_s is 0"),
        (lambda v: v | {"images": 2**70}, "beyond 64 bits"),
        (lambda v: v | {"format": 2}, "format: Invalid enum value 2"),
        (lambda v: v | {"passed": True}, "unknown fields: passed"),
        (lambda v: v | {"precisions": v["precisions"][:1] * 2}, "one twice"),
        (
            lambda v: v | {"precisions": [v["precisions"][0] | {"label_flips": 601}]},
            "label_flips is 601",
        ),
        (
            lambda v: v | {"precisions": [v["precisions"][0] | {"precision": "fp32"}]},
            r"precision: Invalid enum value 'fp32'",
        ),
    ],
)
def test_what_was_measured_elsewhere_or_is_no_measurement_is_not_used(
    file: Path, manifest: Manifest, change: Change, why: str
) -> None:
    changed = change(json.loads(file.read_text()))
    file.write_text(json.dumps(with_checksum(changed)))
    tuning, found = kept_tuning(manifest)
    assert tuning is None
    assert re.search(why, found)


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lambda file: file.write_text(file.read_text().replace("0.03,", "0.01,")), "is damaged"),
        (lambda file: file.write_bytes(file.read_bytes()[:-9]), "is not JSON"),
        (lambda file: file.write_text("[]"), "is damaged"),
        (lambda file: file.write_text(" " * 20_000), "more than 10,000 bytes"),
        (lambda file: file.chmod(0o644), "open to other users"),
        (lambda file: file.parent.chmod(0o755), "open to other users"),
        (lambda file: file.symlink_to(file.rename(file.with_suffix(".x"))), "cannot be read"),
    ],
)
def test_a_file_that_is_damaged_or_open_to_others_is_not_used(
    file: Path, manifest: Manifest, damage: Callable[[Path], object], why: str
) -> None:
    damage(file)
    tuning, found = kept_tuning(manifest)
    assert tuning is None
    assert why in found


def test_other_graphs_and_other_processors_have_their_own_files(
    file: Path, manifest: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = replace(manifest, files={**manifest.files, "model.int8.onnx": EngineFile("1" * 64, 9)})
    assert kept_tuning(other) == Kept()
    keep(other, tuning_of(other))
    monkeypatch.setattr(cpu, "processor_flags", lambda cpuinfo: {"sse4_2"})
    assert kept_tuning(manifest) == Kept()
    keep(manifest, tuning_of(manifest))
    assert len(list(file.parent.iterdir())) == 3


@pytest.mark.parametrize(
    ("flips", "drift", "within"),
    [
        (3, 0.05, {"bf16", "int8", "int8-bf16"}),
        (4, 0.05, {"int8", "int8-bf16"}),
        (3, 0.051, {"int8", "int8-bf16"}),
        (12, 0.1, {"int8", "int8-bf16"}),
        (13, 0.0, set()),
        (0, 0.101, set()),
    ],
)
@pytest.mark.usefixtures("with_bfloat16")
def test_the_limits_are_those_of_the_gates_and_of_drift(
    manifest: Manifest, flips: int, drift: float, within: set[str]
) -> None:
    found: Tuning = tuning_of(manifest, flips, drift)
    assert {name for name in found.by_name if found.is_within(name)} == within


def test_where_nothing_can_be_kept_the_message_says_what_to_type(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.mkdir(parents=True)
    cache.chmod(0o755)
    said = r"no choice can be kept: .* is open to other users.*\nNext: chmod 700 "
    with pytest.raises(InputError, match=said), tuning_folder():
        pass
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", "nowhere")
    with pytest.raises(InputError, match="no home"), tuning_folder():
        pass
