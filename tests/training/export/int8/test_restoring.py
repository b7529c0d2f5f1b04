import numpy as np
import onnx
import pytest

from hambatch.training.export.int8.layerwise import walk
from hambatch.training.export.int8.quantise import inserted, serialized, without_costliest
from hambatch.training.export.int8.running import logits_of
from tests.training.export.int8.residual_graph import OPTIONS


@pytest.fixture(scope="module")
def fitted(residual, calibration):
    return walk(residual.graph, calibration, OPTIONS, lambda _: None)


def test_what_goes_back_to_fp32_helps_more_than_any_other_would(residual, calibration, fitted):
    before = residual.SerializeToString()
    wanted = logits_of(before, calibration)

    def error_without(name):
        others = {other: done for other, done in fitted.items() if other != name}
        found = logits_of(serialized(inserted(residual, others)), calibration)
        return np.sqrt(((found - wanted) ** 2).mean())

    kept, (restored,) = without_costliest(residual, fitted, calibration, 1)
    assert {*kept, restored} == set(fitted)
    assert len(kept) == len(fitted) - 1
    errors = {name: error_without(name) for name in fitted}
    # Ranked with weights in FP32, here as they are stored: near the best, and far from the worst.
    assert errors[restored] <= 1.1 * min(errors.values()) < 0.8 * max(errors.values())
    assert residual.SerializeToString() == before


def test_a_restored_convolution_has_neither_codes_nor_quantised_input(
    residual, calibration, fitted
):
    kept, (restored,) = without_costliest(residual, fitted, calibration, 1)
    graph = onnx.ModelProto.FromString(serialized(inserted(residual, kept))).graph
    makers = {node.output[0]: node for node in graph.node}
    for name in fitted:
        sources = [makers.get(source) for source in makers[name].input[:2]]
        kinds = [source.op_type if source else "" for source in sources]
        assert ("DequantizeLinear" in kinds) == (name != restored)


def test_none_goes_back_unasked(residual, calibration, fitted):
    assert without_costliest(residual, fitted, calibration, 0) == (fitted, [])
