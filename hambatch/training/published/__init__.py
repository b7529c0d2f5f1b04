"""The published recipe: a head is trained on the cached features of a frozen base."""
