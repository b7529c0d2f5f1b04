"""A run of `hambatch score`: source, pipeline, backend, sink, through a journal."""
