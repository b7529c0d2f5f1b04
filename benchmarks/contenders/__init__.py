"""Whatever takes part in a comparison, one file each.

A contender is a module with two functions::

    settings(task) -> list[Setting]                 what a sweep tries, best left to it
    build(task, setting) -> Callable[[], float]     a run over all pictures: images/s

``build`` loads and compiles; what it returns is timed, and is called once a turn. Each
contender lives in a process of its own (:mod:`contenders.turns`).
"""

from typing import NamedTuple


class Contender(NamedTuple):
    """A module, and whether there is one of it for each of the engine's precisions.

    The best ``finalists`` settings of the sweep run in every turn, and the fastest counts.
    """

    module: str
    each_precision: bool = False
    finalists: int = 1


CONTENDERS = {
    "score": Contender("contenders.hambatch_score", each_precision=True),
    "command": Contender("contenders.hambatch_command", each_precision=True),
    "own_inference": Contender("contenders.hambatch_inference", each_precision=True),
    "inference": Contender("contenders.benchmark_app", each_precision=True, finalists=2),
    "own_decode": Contender("contenders.hambatch_decode"),
    "decode": Contender("contenders.dali_plain", finalists=2),
    "keras": Contender("contenders.keras_peer"),
    "pytorch_eager": Contender("contenders.pytorch_eager"),
    "pytorch_untuned": Contender("contenders.pytorch_untuned"),
    "pytorch_compiled": Contender("contenders.pytorch_compiled"),
    "onnxruntime": Contender("contenders.onnxruntime_peer", each_precision=True),
}
"""By what they are called in a result; ``each_precision`` adds ``_fp32`` and so on."""

OURS = ("score", "command")
CEILINGS = ("inference", "decode")
PEERS = ("keras", "pytorch_eager", "pytorch_untuned", "pytorch_compiled", "onnxruntime")
