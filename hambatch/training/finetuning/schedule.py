"""How fast is learnt at each step: one cycle, up in a line and down half a cosine."""

import math


def one_cycle(step: int, steps: int, warmup: float) -> float:
    """Give the share of the peak learning rate at a step, above 0 and at most 1.

    Parameters
    ----------
    step
        From 1 to ``steps``.
    warmup
        Share of the steps in which it rises, 0 <= w < 1; the first step is never the last.

    References
    ----------
    .. [1] Smith, Topin: Super-Convergence (2017), arXiv:1708.07120
    .. [2] Loshchilov, Hutter: SGDR, ICLR 2017, arXiv:1608.03983 (the cosine)
    """
    rising = max(1, round(steps * warmup))
    if step <= rising:
        return step / rising
    return 0.5 * (1 + math.cos(math.pi * (step - rising) / (steps - rising + 1)))
