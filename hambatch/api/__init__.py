"""The public Python API: score, Scorer, read_table."""
