"""Before a run on a GPU: its plan is kept, or is built now, in a process of its own."""

import subprocess
import sys

from hambatch.backends.tensorrt_gpu import REQUEST_SIZE
from hambatch.config import BuildOptions
from hambatch.engines.loading import Engine
from hambatch.errors import BackendError
from hambatch.gpu.probe import Gpu
from hambatch.plans.build import build_command


def ensure_plan(engine: Engine, precision: str, gpu: Gpu, request_size: int = REQUEST_SIZE) -> None:
    """See to it that the plan of a run on that GPU is kept; building one takes minutes.

    The builder's own words go to this process's stderr, why it builds among them.

    Raises
    ------
    HambatchError
        If there is no TensorRT, or no plan could be built.
    """
    from hambatch.plans import kept_plan_for

    try:
        kept_plan_for(engine, precision, request_size, gpu.ordinal)
    except BackendError:
        wanted = {"precision": precision, "max_batch": request_size, "device": gpu.ordinal}
        _build(engine, BuildOptions(**wanted))  # type: ignore[arg-type]


def _build(engine: Engine, options: BuildOptions) -> None:
    # Whatever becomes of the builder, and of the memory that it takes, this process goes on.
    wanted = [f"--precision={options.precision}", f"--max-batch={options.max_batch}"]
    build = ["build", *wanted, f"--device={options.device}", "--", str(engine.folder)]
    command = [sys.executable, "-P", "-m", "hambatch", *build]
    code = subprocess.run(command, check=False).returncode  # noqa: S603
    if code:
        how = f"exit code {code}" if code > 0 else f"signal {-code}"
        raise BackendError(
            f"the {options.precision} plan of {engine.manifest.name} could not be built ({how}); "
            f"it says why above.\nNext: {build_command(engine, options)}"
        )
