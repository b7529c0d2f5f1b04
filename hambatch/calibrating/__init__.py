"""Fitting a temperature to held-out predictions, and saying what it changes."""
