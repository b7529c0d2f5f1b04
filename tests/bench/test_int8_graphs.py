"""What compares INT8 graphs: which layers are FP32, what is made again, which speed counts."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hambatch.engines.loading import find_engine, load_engine
from hambatch.engines.options import DEFAULT_ENGINE
from tests.conftest import REPOSITORY

pytest.importorskip("onnx", reason="needs the extra train")


@pytest.fixture(autouse=True)
def _scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(REPOSITORY / "benchmarks")


def test_the_layers_of_the_graph_that_are_fp32_are_those_that_its_recipe_kept() -> None:
    from quantiser_task import fp32_layers

    engine = load_engine(find_engine(DEFAULT_ENGINE))
    variant = engine.variant("int8")
    options: dict[str, Any] = variant.parity["options"]
    found = fp32_layers(engine.folder / variant.file)
    convolutions = [name for name in found if name.startswith("conv")]
    assert convolutions[: options["keep_fp32"]] == [
        f"conv_{k}" for k in range(options["keep_fp32"])
    ]
    assert len(convolutions) == options["keep_fp32"] + options["restore_fp32"]
    assert [name for name in found if name not in convolutions] == ["matmul_0", "matmul_1"]
    assert fp32_layers(engine.folder / engine.variant("fp32").file)[-3:] == [
        "conv_52",
        "matmul_0",
        "matmul_1",
    ]


def test_a_graph_is_made_once_and_only_by_the_same_settings(
    tiny_engine: Path, tmp_path: Path
) -> None:
    from graph_runs import Graphs

    asked: list[list[str]] = []

    def write(paths: Mapping[str, Path], done: Callable[[str], None]) -> None:
        asked.append(list(paths))
        for name, path in paths.items():
            path.write_bytes(b"a graph")
            done(name)

    engine = load_engine(tiny_engine)
    for names in (["a"], ["a", "b"], ["b"]):
        Graphs(engine, tmp_path, {"seed": 0}).make(names, write, print)
    assert asked == [["a"], ["b"]]
    with pytest.raises(SystemExit, match="was made with"):
        Graphs(engine, tmp_path, {"seed": 1})


def test_a_speed_is_the_median_ratio_within_a_turn() -> None:
    from graph_runs import speeds

    rates = {"hambatch": [10.0, 20.0, 40.0], "other": [11.0, 18.0, 44.0]}
    found = speeds(rates, "hambatch")["other"]
    assert (found["ratio"], found["ratio_range"]) == (1.1, [0.9, 1.1])
    assert found["images_per_s"] == 18.0


def test_flips_and_drift_are_against_fp32() -> None:
    from gate_figures import figures

    fp32 = np.array([[4.0, 0.0], [0.0, 4.0], [0.1, 0.0], [0.0, 9.0]], np.float32)
    int8 = fp32.copy()
    int8[2] = [0.0, 0.1]
    found = figures(fp32, int8)
    assert (found["label_flips"], found["label_flip_share"]) == (1, 0.25)
    assert found["probability_drift"]["max"] == pytest.approx(0.05, abs=1e-3)


def test_kept_fits_give_the_graph_of_an_export_and_any_choice_of_layers(tmp_path: Path) -> None:
    import onnx
    from layer_fits import LayerFits, keep_fits
    from quantiser_task import fp32_layers

    from hambatch.training.export.int8.export import quantise
    from tests.training.export.int8.residual_graph import (
        OPTIONS,
        images_of_blocks,
        residual_model,
    )

    model, images, options = residual_model(), images_of_blocks(4, 0), replace(OPTIONS, positions=4)
    wanted = quantise(model.SerializeToString(), images, options, lambda _: None)
    keep_fits(model, images, options, tmp_path, lambda _: None)
    fits = LayerFits(tmp_path)
    assert fits.graph([]) == wanted
    (tmp_path / "some.onnx").write_bytes(fits.graph(["conv_2", "conv_6"]))
    in_fp32 = ["conv_0", "conv_2", "conv_6"]
    assert [n for n in fp32_layers(tmp_path / "some.onnx") if n.startswith("conv")] == in_fp32
    # 16 channels from 16 by 3 x 3 places, at 7 x 7 positions: half of the side of 14.
    assert fits.multiplications()["conv_2"] == 16 * 16 * 9 * 7 * 7
    onnx.checker.check_model(onnx.load(tmp_path / "some.onnx"), full_check=True)
