"""Faults on purpose: damaged files, killed processes, and an oracle that notices what they cost."""
