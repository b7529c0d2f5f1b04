"""TensorRT plans: built from an engine's ONNX on a GPU of this machine, tried, kept privately."""

from typing import TYPE_CHECKING

from hambatch.engines.loading import Engine

if TYPE_CHECKING:
    from hambatch.plans.cache import KeptPlan


def kept_plan_for(engine: Engine, precision: str, max_batch: int, ordinal: int) -> "KeptPlan":
    """Give the kept plan to run on the GPU of that number, proven whole; nothing is built.

    What ``hambatch build`` built with the same precision and ``--max-batch``, and no other
    option, is found.

    Raises
    ------
    BackendError
        If none is kept that may be used: it says why, and the command that builds it.
    HambatchError
        As :func:`hambatch.plans.build.find_kept` and
        :func:`hambatch.plans.tensorrt_module.find_target` say.
    """
    from hambatch.config import BuildOptions
    from hambatch.plans.build import find_kept
    from hambatch.plans.command import order_of

    options = BuildOptions(precision=precision, max_batch=max_batch, device=ordinal)
    return find_kept(order_of(engine, options))
