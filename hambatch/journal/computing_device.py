"""What computes a run's scores, as far as another one may change a row."""

from typing import Any

from hambatch.config import ScoreOptions
from hambatch.device import instruction_set
from hambatch.engines.loading import Engine
from hambatch.hashing import sha256_of_bytes

GPU_BACKEND = "tensorrt"


def computing_device(engine: Engine, options: ScoreOptions) -> dict[str, Any]:
    """Name the processor; on a GPU the card, its driver, and the very plan.

    Two plans built of one graph may differ in the last bits of their scores.

    Raises
    ------
    BackendError
        If the GPU is asked for and there is none, or no plan is kept for it.
    """
    processor = {"kind": "cpu", "instruction_set": instruction_set()}
    if options.backend != GPU_BACKEND:
        return processor
    from hambatch.backends.tensorrt_gpu import PURPOSE, REQUEST_SIZE
    from hambatch.gpu.choosing import usable_gpu
    from hambatch.plans import kept_plan_for

    gpu, probe = usable_gpu(0, PURPOSE)
    plan = kept_plan_for(engine, options.precision, REQUEST_SIZE, gpu)
    return {
        **processor,
        "kind": "gpu",
        "gpu": gpu.name,
        "driver": probe.driver,
        "plan_sha256": sha256_of_bytes(plan),
    }
