"""Whether a table is still true: of every file and, by a sample, of the engine."""
