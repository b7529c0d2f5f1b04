"""What `hambatch build` does, and says."""

from collections.abc import Callable

from hambatch.config import BuildOptions
from hambatch.engines.loading import Engine, load_engine
from hambatch.engines.store import find_engine
from hambatch.plans.build import Order, deliver
from hambatch.plans.cache import KeptPlan
from hambatch.plans.monitor import Progress
from hambatch.plans.running import GpuTrial
from hambatch.plans.tensorrt_module import find_target


def build_plan_of(options: BuildOptions, tell: Callable[[str], None], progress: Progress) -> str:
    """Build a plan, or find it; give what there is to say about it.

    Raises
    ------
    HambatchError
        If there is no engine, no GPU or no TensorRT, or the plan cannot be built or is refused.
    """
    engine = load_engine(find_engine(options.engine))
    return describe(deliver(order_of(engine, options), tell, progress))


def order_of(engine: Engine, options: BuildOptions) -> Order:
    """Put an order together for a GPU of this machine.

    Raises
    ------
    HambatchError
        If there is no such GPU, or no TensorRT.
    """
    target = find_target(options.device)
    return Order(engine, options, target, GpuTrial(options.device, engine.manifest))


def describe(plan: KeptPlan) -> str:
    """Name the plan, and how it was tried."""
    record, invariance = plan.record, plan.record.invariance
    known, sizes = record.known_pictures, ", ".join(map(str, invariance.batch_sizes))
    lines = [
        f"{record.file}: tensorrt-{record.key.precision} of {record.engine} for {record.key.gpu}, "
        f"{record.size_bytes / 1e6:.1f} MB, built {record.built} in {record.seconds:.0f} s",
        f"  the same image in other slots and batches of {sizes}: probabilities differ by at most "
        f"{invariance.max_difference:.1e}",
    ]
    if known:
        lines.append(
            f"  {known['images']} known pictures are within {known['max_difference']:.1e} of the "
            f"engine's record (tolerance {known['tolerance']:.0e})"
        )
    if record.conversion:
        differ = record.conversion["values"]["max_difference"]
        lines.append(f"  rounding to FP16 alone moves a probability of theirs by {differ:.1e}")
    return "\n".join(lines)
