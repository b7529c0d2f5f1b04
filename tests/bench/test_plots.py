import numpy as np
import pytest
from PIL import Image

from hambatch.bench.plots import write_plots
from hambatch.errors import InputError
from tests.bench.results import latency, rates, result, throughput

pytest.importorskip("matplotlib", reason="needs the extra plot")

CEILING = {
    "images_per_s": 57.4,
    "formula": "1 / (1/decode + 1/inference)",
    "share_of_ceiling": 0.953,
    "bound_by": "inference",
}
STAGES = {"read": 21000.0, "decode": 888.0, "inference": 61.4, "score": 54.7}


def sweep():
    return [
        throughput(rates(40 + size, 0.02, 5, size), precision, size, streams)
        for precision in ("fp32", "int8")
        for streams in (1, 2)
        for size in (1, 8, 32)
    ]


def names(paths):
    return [path.name for path in paths]


def ink(path):
    """Count the pixels that are not white."""
    with Image.open(path) as picture:
        return int(np.sum(np.asarray(picture.convert("L")) < 128))


def test_every_picture_that_there_are_figures_for_is_drawn(tmp_path):
    whole = result(*sweep(), latency(rates(25, 0.01, 5, 1)), stages=STAGES, ceiling=CEILING)
    written = write_plots(whole, tmp_path / "made" / "here")
    assert names(written) == ["throughput.png", "latency.png", "stages.png"]
    assert sorted(path.name for path in (tmp_path / "made" / "here").iterdir()) == sorted(
        names(written)
    )
    for path in written:
        with Image.open(path) as picture:
            assert picture.size == (1200, 750)
        assert ink(path) > 5000


@pytest.mark.parametrize(
    ("whole", "wanted"),
    [
        (result(*sweep()), ["throughput.png"]),
        (result(throughput([40.0, 41.0])), ["throughput.png"]),
        (result(latency([25.0, 24.0], p99=None)), ["latency.png"]),
        (result(stages=STAGES), ["stages.png"]),
        (result(stages={"inference": 61.4}), []),
        (result(), []),
    ],
)
def test_pictures_without_figures_are_left_out(tmp_path, whole, wanted):
    assert names(write_plots(whole, tmp_path)) == wanted


def test_single_points_of_several_stages_are_bars_only(tmp_path):
    stages = [throughput([60.0, 61.0]), throughput([54.0, 55.0], stage="score")]
    whole = result(*stages, stages={"inference": 60.5, "score": 54.5})
    assert names(write_plots(whole, tmp_path)) == ["stages.png"]


def test_a_ceiling_adds_a_line(tmp_path):
    (without,) = write_plots(result(stages=STAGES), tmp_path / "without")
    (with_it,) = write_plots(result(stages=STAGES, ceiling=CEILING), tmp_path / "with")
    assert ink(with_it) > ink(without) + 500


def test_percentiles_that_had_too_few_samples_are_left_out(tmp_path):
    none = latency([25.0], p99=None) | {"percentiles_ms": {"50": None, "99": None}}
    assert write_plots(result(none), tmp_path) == []


def test_latency_is_drawn_against_batch_size_where_that_varies(tmp_path):
    first, second = latency([25.0]), latency([80.0])
    second["settings"] = second["settings"] | {"batch_size": 4}
    rows, curve = ([first, latency([80.0], "int8")], [first, second])
    pictures = [write_plots(result(*s), tmp_path / str(i))[0] for i, s in enumerate((rows, curve))]
    assert ink(pictures[0]) != ink(pictures[1])


def test_names_with_dollar_signs_are_no_formulas(tmp_path):
    odd = [*sweep(), throughput([40.0, 41.0], "a$b_{$", 8)]
    whole = result(*odd, machine={"cpu": "$\\frac$", "cores": 2})
    assert names(write_plots(whole, tmp_path)) == ["throughput.png"]


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write"):
        write_plots(result(stages=STAGES), tmp_path / "file" / "below")
