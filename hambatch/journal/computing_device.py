"""What computes a run's scores, as far as another one may change a row."""

from typing import Any

from hambatch.config import ScoreOptions
from hambatch.device import instruction_set
from hambatch.engines.choice import BACKEND_OF_GPU
from hambatch.engines.loading import Engine
from hambatch.placement import numbers_in


def computing_device(engine: Engine, options: ScoreOptions) -> dict[str, Any]:
    """Name the processor; on a GPU the card, its driver, and the very plan.

    Two plans built of one graph may differ in the last bits of their scores. How many GPUs of
    that model there are changes no row, nor does the size of groups, unless the decoder parts
    them.

    Raises
    ------
    BackendError
        If the GPU is asked for and there is none, or no plan is kept for it.
    """
    processor = {"kind": "cpu", "instruction_set": instruction_set()}
    if options.backend != BACKEND_OF_GPU:
        return processor
    from hambatch.backends.tensorrt_gpu import REQUEST_SIZE
    from hambatch.plans import kept_plan_for

    gpus = numbers_in(options.device) or (0,)
    plan = kept_plan_for(engine, options.precision, REQUEST_SIZE, gpus[0]).record
    groups = {"batch_size": options.batch_size, "gpus": len(gpus)}
    return {
        **processor,
        "kind": "gpu",
        "gpu": plan.key.gpu,
        "driver": plan.key.driver,
        "plan_sha256": plan.sha256,
        "hw_decoder_load": options.decoder.hw_decoder_load,
        "jpeg_fancy_upsampling": options.decoder.jpeg_fancy_upsampling,
        **(groups if options.decoder.parts_groups else {}),
    }
