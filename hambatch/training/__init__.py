"""From a split table to trained weights."""
