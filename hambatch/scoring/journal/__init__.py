"""What a run has finished, on disk as it goes: killed at any moment, it can be resumed."""
