"""Sentinels: images with known scores, a record for each precision, drawn where there are none."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from hambatch.engines.loading import find_engine, load_engine
from hambatch.engines.options import DEFAULT_ENGINE
from hambatch.engines.sentinels import MeasuredOn, Recorded, Sentinel, Sentinels
from hambatch.engines.synthetic import SENTINELS, write_sentinel_images

ONE = (0.3, 0.1, 0.2, 0.1, 0.1, 0.1, 0.1)
INT8 = Recorded(
    "int8",
    MeasuredOn("openvino-int8", "dali-cpu", "x"),
    0.05,
    ((0.2, 0.1, 0.3, 0.1, 0.1, 0.1, 0.1),),
)
SPEC = Sentinels(
    (Sentinel("one.jpg", (0.1, 0.2, 0.3, 0.1, 0.1, 0.1, 0.1)),),
    tolerance_elsewhere=0.002,
    measured_on=MeasuredOn("openvino-fp32", "dali-cpu", "x86_64 avx2"),
    also=(INT8,),
)


def test_each_precision_has_a_record_of_its_own() -> None:
    assert SPEC.of("fp32") == SPEC
    assert SPEC.of("int8") == replace(
        SPEC,
        pictures=(Sentinel("one.jpg", INT8.probabilities[0]),),
        measured_on=INT8.measured_on,
        tolerance_elsewhere=0.05,
    )
    bf16 = Recorded("bf16", replace(INT8.measured_on, backend="openvino-bf16"), 0.1, (ONE,))
    both = replace(SPEC, also=(INT8, bf16)).of("bf16")
    assert both is not None
    assert (both.measured_on, both.pictures[0].probabilities) == (bf16.measured_on, ONE)


def test_a_precision_without_a_record_gives_what_its_graph_gives_within_a_wider_tolerance() -> None:
    int8 = SPEC.of("int8")
    assert int8 is not None
    assert SPEC.of("bf16") == replace(SPEC, tolerance_elsewhere=0.1)
    assert SPEC.of("int8-bf16") == replace(int8, tolerance_elsewhere=0.1)
    # Never what another graph gives.
    assert replace(SPEC, also=()).of("int8-bf16") is None
    assert replace(SPEC, also=()).elsewhere("int8-bf16") == 0.1


def test_fp16_gives_what_fp32_gives_within_a_wider_tolerance() -> None:
    assert SPEC.of("fp16") == replace(SPEC, tolerance_elsewhere=0.02)
    assert SPEC.elsewhere("fp16") == 0.02


def test_images_are_drawn_once_and_never_over_the_engines_own(tmp_path: Path) -> None:
    (tmp_path / "sentinel_1.jpg").write_bytes(b"the engine's")
    names = write_sentinel_images(tmp_path)
    assert (tmp_path / "sentinel_1.jpg").read_bytes() == b"the engine's"
    assert len(names) == len(set(SENTINELS)) == 4
    assert sum((tmp_path / name).stat().st_size for name in names) < 60_000
    assert {path.name for path in tmp_path.iterdir()} == set(names)


def test_the_default_engine_knows_images_of_clearly_different_scores() -> None:
    engine = load_engine(find_engine(DEFAULT_ENGINE))
    spec = engine.manifest.sentinels
    known = np.array([picture.probabilities for picture in spec.pictures])
    assert len(set(known.argmax(axis=1))) == 4
    # Near 0 and 1 a softmax hides an error of the logits.
    assert known.max() < 0.7
    for first in range(4):
        for second in range(first):
            assert np.abs(known[first] - known[second]).max() > 0.2
    sizes = set()
    for picture in spec.pictures:
        with Image.open(engine.folder / picture.file) as image:
            sizes.add(image.size)
    assert len(sizes) == 4
