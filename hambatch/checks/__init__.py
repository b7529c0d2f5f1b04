"""Checks of a machine, a table, an engine: doctor, verify, parity."""
