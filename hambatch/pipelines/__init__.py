"""From encoded bytes to uint8 RGB batches."""
