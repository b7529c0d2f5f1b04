import pytest

from hambatch.errors import EngineError
from hambatch.training.export.int8.layerwise import walk
from tests.training.export.int8.residual_graph import OPTIONS


def test_a_convolution_that_reads_negative_values_is_refused(copied, calibration):
    nodes = [n for n in copied.graph.node if n.name != "relu_4"]
    for n in nodes:
        n.input[:] = ["conv_5.out" if name == "relu_4" else name for name in n.input]
    del copied.graph.node[:]
    copied.graph.node.extend(nodes)
    with pytest.raises(EngineError, match=r"conv_6 reads values down to -.*\nNext: "):
        walk(copied.graph, calibration[:2], OPTIONS, lambda _: None)
