"""What is kept makes the next start faster and changes no score; what is not ours is not used."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hambatch.backends import load_backend
from hambatch.backends.openvino_compile import KEPT, as_hinted, cache_folder, compiled_or_kept
from hambatch.engines.loading import load_engine
from hambatch.errors import BackendError
from hambatch.scoring.options import ScoreOptions
from hambatch.scoring.rows import predict_files
from hambatch.system.cache import key_of, problem_with
from tests.backends.contract import pictures, scores
from tests.conftest import needs_bfloat16
from tests.engines.int8_engine import with_int8

KEY = key_of({"graph": "one"})


class Compiler:
    """Compiles the tiny INT8 graph, and counts how often it had to."""

    def __init__(self, graph: Path) -> None:
        import openvino

        self.core, self.graph, self.compiled = openvino.Core(), graph, 0

    def compile(self) -> Any:
        self.compiled += 1
        return self.core.compile_model(self.graph, "CPU")

    def once(self, folder: Path, key: str = KEY) -> Any:
        compiled, blob = compiled_or_kept(
            folder, key, self.compile, lambda blob: self.core.import_model(blob, "CPU")
        )
        assert blob
        return compiled


@pytest.fixture(scope="module")
def engine(tiny_engine: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return with_int8(tiny_engine, tmp_path_factory.mktemp("int8") / "tiny")


@pytest.fixture
def compiler(engine: Path) -> Compiler:
    return Compiler(engine / "model.int8.onnx")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "hambatch" / "models"


def test_a_second_start_does_not_compile(compiler: Compiler, folder: Path) -> None:
    compiler.once(folder)
    compiler.once(folder)
    assert compiler.compiled == 1
    compiler.once(folder, key_of({"graph": "another"}))
    assert compiler.compiled == 2
    assert folder.stat().st_mode & 0o777 == 0o700


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [cut, flip, lambda path: path.write_bytes(b"")])
def test_what_is_damaged_is_compiled_again_and_replaced(
    compiler: Compiler, folder: Path, damage: Callable[[Path], None]
) -> None:
    compiler.once(folder)
    path = folder / f"{KEY}.blob"
    damage(path)
    damaged = path.read_bytes()
    compiler.once(folder)
    assert compiler.compiled == 2
    # Whole again, or it would be compiled once more. Two compilations may differ by some bytes.
    assert path.read_bytes() != damaged
    compiler.once(folder)
    assert compiler.compiled == 2


def test_what_openvino_refuses_is_compiled_again(compiler: Compiler, folder: Path) -> None:
    import hashlib

    compiler.once(folder)
    junk = b"not a graph"
    content = hashlib.sha256(junk).hexdigest().encode() + b"\n" + junk
    (folder / f"{KEY}.blob").write_bytes(content)
    compiler.once(folder)
    assert compiler.compiled == 2


@pytest.mark.parametrize("mode", [0o777, 0o750, 0o701])
def test_a_folder_that_others_can_enter_is_not_used(
    compiler: Compiler, folder: Path, mode: int
) -> None:
    compiler.once(folder)
    folder.chmod(mode)
    compiler.once(folder)
    assert compiler.compiled == 2
    assert "is open to other users" in problem_with(folder)


def test_a_link_is_not_followed(compiler: Compiler, folder: Path, tmp_path: Path) -> None:
    compiler.once(tmp_path / "elsewhere")
    folder.parent.mkdir()
    folder.symlink_to(tmp_path / "elsewhere")
    compiler.once(folder)
    assert compiler.compiled == 2
    assert "is a symbolic link, wanted a folder" in problem_with(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_another_user_is_not_used(compiler: Compiler, folder: Path) -> None:
    compiler.once(folder)
    os.chown(folder, 12345, -1)
    compiler.once(folder)
    assert compiler.compiled == 2
    assert "belongs to another user" in problem_with(folder)


def test_where_nothing_can_be_kept_it_compiles(compiler: Compiler, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    assert compiler.once(tmp_path / "file" / "models") is not None
    assert compiler.compiled == 1


def test_only_the_last_few_are_kept(compiler: Compiler, folder: Path) -> None:
    keys = [key_of({"graph": k}) for k in range(KEPT + 2)]
    for age, key in enumerate(keys):
        compiler.once(folder, key)
        os.utime(folder / f"{key}.blob", (1000 + age, 1000 + age))
    assert {path.name for path in folder.iterdir()} == {f"{key}.blob" for key in keys[2:]}
    # One that was used just now is no longer the oldest.
    compiler.once(folder, keys[2])
    compiler.once(folder, keys[0])
    assert (folder / f"{keys[2]}.blob").exists()


def test_a_key_depends_on_every_part() -> None:
    assert len({KEY, key_of({"graph": "two"}), key_of({"graph": "one", "streams": 2})}) == 3


def test_a_kept_graph_scores_the_same_bits(engine: Path, folder: Path) -> None:
    loaded, images = load_engine(engine), pictures(5)
    backends = [load_backend("openvino", loaded, "int8", 2, cache) for cache in (None, folder)]
    kept = list(folder.glob("*.blob"))
    backends.append(load_backend("openvino", loaded, "int8", 2, folder))
    assert len(kept) == 1
    assert list(folder.glob("*.blob")) == kept
    first, *others = (scores(backend, images) for backend in backends)
    for other in others:
        np.testing.assert_array_equal(first, other)
    # Every stream has its own copy, so any number of them takes the same.
    load_backend("openvino", loaded, "int8", 3, folder)
    assert list(folder.glob("*.blob")) == kept


def test_a_run_keeps_its_graph_in_the_users_own_folder_and_the_rows_stay(
    engine: Path, image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "mine"))
    names = ["picture_00.jpg", "last.png"]

    def rows(**options: bool) -> list[Any]:
        chosen = ScoreOptions(engine=str(engine), precision="int8", force=True, **options)  # type: ignore[arg-type]
        return predict_files(image_folder, names, chosen)

    without = rows(model_cache=False)
    assert not (tmp_path / "mine").exists()
    assert rows() == rows() == without
    assert len(list((tmp_path / "mine" / "hambatch" / "models").iterdir())) == 1


@needs_bfloat16
def test_each_precision_of_a_graph_is_kept_apart(engine: Path, folder: Path) -> None:
    loaded, images = load_engine(engine), pictures(5)
    for precision in ("int8", "int8-bf16", "int8-bf16"):
        backend = load_backend("openvino", loaded, precision, 2, folder)
        found = scores(backend, images)
    assert len(list(folder.glob("*.blob"))) == 2
    without = load_backend("openvino", loaded, "int8-bf16", 2)
    np.testing.assert_array_equal(scores(without, images), found)
    assert without.name == "openvino-int8-bf16"


def test_a_graph_that_computes_otherwise_than_it_was_told_to_is_refused(engine: Path) -> None:
    import openvino

    compiled = openvino.Core().compile_model(
        engine / "model.onnx", "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    assert as_hinted(compiled, "fp32") is compiled
    with pytest.raises(BackendError, match="computes bf16 in f32 here, wanted bf16"):
        as_hinted(compiled, "bf16")


@pytest.mark.usefixtures("without_bfloat16")
def test_a_processor_that_does_not_multiply_bfloat16_loads_no_such_backend(engine: Path) -> None:
    with pytest.raises(BackendError, match="int8-bf16 is for processors that multiply bfloat16"):
        load_backend("openvino", load_engine(engine), "int8-bf16", 1)


def test_the_fp32_graph_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache_folder("fp32") is cache_folder("bf16") is None
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_folder("int8-bf16") == cache_folder("int8")
    assert cache_folder("int8") == Path.home() / ".cache" / "hambatch" / "models"
