"""Runtimes that execute an engine: one small Protocol, one table."""
