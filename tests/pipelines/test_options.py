"""The GPU's decoder options: every name is one that DALI knows, and the CPU ignores them."""

from dataclasses import asdict, dataclass

import numpy as np
import pytest

from hambatch.pipelines.dali_lane import DaliLane
from hambatch.pipelines.decode import scoring_graph
from hambatch.pipelines.options import DecoderOptions
from hambatch.pipelines.training import training_graph
from hambatch.sources.reading import Fetched
from tests.conftest import jpeg_bytes
from tests.pipelines.lanes import HOW, SPEC

OTHER = DecoderOptions(0.7, 640, 480, 1_000, 2_000, 3_000, False)


@dataclass(frozen=True)
class Misspelt(DecoderOptions):
    hw_decoder_laod: float = 1.0


def for_scoring(gpu: int | None, decoder: DecoderOptions) -> object:
    return scoring_graph(16, 2, SPEC, HOW, gpu, decoder)


def for_training(gpu: int | None, decoder: DecoderOptions) -> object:
    return training_graph(iter([]), 16, SPEC, HOW, gpu, decoder)


BOTH = pytest.mark.parametrize("construct", [for_scoring, for_training])


@BOTH
@pytest.mark.parametrize("decoder", [DecoderOptions(), OTHER])
def test_the_gpu_pipelines_are_constructed_with_all_options(construct, decoder) -> None:
    assert construct(3, decoder).device_id == 3


@BOTH
def test_a_wrong_name_is_caught_without_a_gpu(construct) -> None:
    with pytest.raises(KeyError, match="hw_decoder_laod"):
        construct(3, Misspelt())


@BOTH
@pytest.mark.parametrize(
    ("field", "value"), [("hw_decoder_load", "most"), ("preallocate_width_hint", "wide")]
)
def test_a_value_of_another_type_is_caught_without_a_gpu(construct, field, value) -> None:
    with pytest.raises((TypeError, ValueError)):
        construct(3, DecoderOptions(**{field: value}))


def test_every_option_is_the_decoders_own_and_differs_from_a_default_somewhere() -> None:
    from nvidia.dali import backend

    known = set(backend.GetSchema("decoders__Image").GetArgumentNames())
    assert set(asdict(DecoderOptions())) <= known
    assert all(value != asdict(OTHER)[name] for name, value in asdict(DecoderOptions()).items())


@BOTH
def test_the_cpu_pipelines_need_no_gpu(construct) -> None:
    assert construct(None, DecoderOptions()).device_id is None


def test_the_options_change_nothing_on_the_cpu() -> None:
    found = []
    for decoder in (DecoderOptions(), OTHER, Misspelt()):
        lane = DaliLane(1, 1, SPEC, HOW, None, decoder)
        lane.feed([Fetched(0, jpeg_bytes(1, 300, 225), "")])
        found.append(np.array(lane.collect()[1]))
        lane.close()
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])
