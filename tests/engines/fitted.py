"""A made-up calibration."""

from hambatch.engines.measurements import Calibration, FittedOn, Improvement


def calibration_of(temperature: float) -> Calibration:
    return Calibration(
        temperature=temperature,
        fitted_on=FittedOn("scored", "a" * 64, ("val",), 21, 14, "fp32"),
        log_loss=Improvement(1.2, (1.1, 1.3), 1.0, (0.9, 1.1)),
        ece=Improvement(0.2, (0.15, 0.25), 0.05, (0.03, 0.09)),
    )
