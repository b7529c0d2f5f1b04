"""Tables of scores: one file a format, all with the same rows, published whole."""
