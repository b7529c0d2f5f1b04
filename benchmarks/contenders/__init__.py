"""Whatever takes part in a comparison, one file each.

A contender is a module with two functions::

    settings(task) -> list[Setting]               what a sweep tries, best left to it
    build(task, setting) -> Callable[[], Run]     a run over all pictures, and what it took

``build`` loads and compiles; what it returns is timed, and is called once a turn. Each
contender lives in a process of its own (:mod:`contenders.turns`).
"""

from typing import Literal, NamedTuple


class Contender(NamedTuple):
    """A module, and whether there is one of it ``each`` graph of the engine, or each precision.

    Two precisions may run one graph. The best ``finalists`` settings of the sweep run in every
    turn, and the fastest counts.
    """

    module: str
    each: Literal["", "graph", "precision"] = ""
    finalists: int = 1


CONTENDERS = {
    "score": Contender("contenders.hambatch_score", "precision"),
    "command": Contender("contenders.hambatch_command", "precision"),
    "own_inference": Contender("contenders.hambatch_inference", "precision"),
    "inference": Contender("contenders.benchmark_app", "precision", finalists=2),
    "own_decode": Contender("contenders.hambatch_decode"),
    "decode": Contender("contenders.dali_plain", finalists=2),
    "keras": Contender("contenders.keras_peer"),
    "pytorch_eager": Contender("contenders.pytorch_eager"),
    "pytorch_untuned": Contender("contenders.pytorch_untuned"),
    "pytorch_compiled": Contender("contenders.pytorch_compiled"),
    "pytorch_eager_bf16": Contender("contenders.pytorch_eager_bf16"),
    "pytorch_compiled_bf16": Contender("contenders.pytorch_compiled_bf16"),
    "onnxruntime": Contender("contenders.onnxruntime_peer", "graph"),
}
"""By what they are called in a result; ``each`` adds ``_fp32`` and so on."""

BFLOAT16 = ("pytorch_eager_bf16", "pytorch_compiled_bf16")
"""Left out where the processor would have to emulate it."""

OURS = ("score", "command")
PEERS = ("keras", "pytorch_eager", "pytorch_untuned", "pytorch_compiled", *BFLOAT16)

BEFORE, AFTER = "before", "after"
"""``command`` of another installed version with an engine of its own, and of this one with it."""
