"""From a split table to an engine: training, export, calibration, gate."""
