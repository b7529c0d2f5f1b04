"""Small images and small engines, generated and seeded."""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hambatch.engines.loading import write_manifest
from hambatch.engines.manifest import Manifest, Variant
from hambatch.system import cpu

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Compiled graphs of the tests are kept apart from the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def without_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    """The processor multiplies no bfloat16, as this process sees it."""
    claim_bfloat16(monkeypatch, set())


@pytest.fixture
def with_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    """The processor multiplies bfloat16, as this process sees it: for choices alone."""
    claim_bfloat16(monkeypatch, {"avx512_bf16"})


def claim_bfloat16(monkeypatch: pytest.MonkeyPatch, extensions: set[str]) -> None:
    real = cpu.processor_flags
    others = set(cpu.BEST["bf16"])
    monkeypatch.setattr(cpu, "processor_flags", lambda cpuinfo: real(cpuinfo) - others | extensions)


needs_bfloat16 = pytest.mark.skipif(
    not cpu.multiplies_bfloat16(), reason="the processor has neither avx512_bf16 nor amx_bf16"
)


def jpeg_bytes(seed: int, width: int = 96, height: int = 72, **options: object) -> bytes:
    """A JPEG of soft random colours, different for every seed."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    image = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    stream = io.BytesIO()
    image.save(stream, format="JPEG", quality=90, **options)
    return stream.getvalue()


def png_bytes(seed: int, width: int = 96, height: int = 72) -> bytes:
    """The PNG of the same picture as :func:`jpeg_bytes`, before compression."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    image = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
    stream = io.BytesIO()
    image.save(stream, format="PNG")
    return stream.getvalue()


@pytest.fixture
def image_folder(tmp_path: Path) -> Path:
    """Twenty-three JPEGs and a PNG, in the root and in two subfolders."""
    return write_images(tmp_path / "images")


def write_images(root: Path) -> Path:
    """Write the images of :func:`image_folder`."""
    for sub in ("", "a", "b/c"):
        (root / sub).mkdir(parents=True, exist_ok=True)
    for k in range(23):
        name = f"{('', 'a/', 'b/c/')[k % 3]}picture_{k:02d}.jpg"
        (root / name).write_bytes(jpeg_bytes(k, width=64 + 8 * k))
    (root / "last.png").write_bytes(png_bytes(99))
    return root


@pytest.fixture(scope="session")
def tiny_engine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An engine whose graph has the full contract and almost no weights.

    It averages each of 16 x 16 blocks, so its logits depend on where colours are.
    """
    return write_tiny_engine(tmp_path_factory.mktemp("engines") / "tiny")


@pytest.fixture(scope="session")
def graded_engine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny engine with probabilities that differ from picture to picture in every digit."""
    return write_tiny_engine(tmp_path_factory.mktemp("engines") / "graded", temperature=100)


def write_tiny_engine(folder: Path, temperature: float = 1.0) -> Path:
    folder.mkdir()
    write_tiny_graph(folder / "model.onnx", temperature=temperature)
    variant = Variant("fp32", "model.onnx")
    write_manifest(folder, Manifest(folder.name, "1", files={}, variants=(variant,)))
    return folder


def write_tiny_graph(path: Path, classes: int = 7, temperature: float = 1.0) -> None:
    """Save the tiny graph as ONNX, its logits divided by a temperature."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(5)
    weights = {
        "to_logits": (rng.normal(0, 0.02, (588, classes)) / temperature).astype(np.float32),
        "to_features": rng.normal(0, 0.02, (588, 2048)).astype(np.float32),
        "flat": np.array([-1, 588], np.int64),
    }
    nodes = [
        helper.make_node("Cast", ["images"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["floats"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node(
            "AveragePool", ["planes"], ["blocks"], kernel_shape=[16, 16], strides=[16, 16]
        ),
        helper.make_node("Reshape", ["blocks", "flat"], ["colours"]),
        helper.make_node("MatMul", ["colours", "to_logits"], ["logits"]),
        helper.make_node("MatMul", ["colours", "to_features"], ["features"]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["batch", 224, 224, 3])],
        [
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", classes]),
            helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", 2048]),
        ],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, path)
