"""Class activation maps: what in an image speaks for a class, as far as the network can tell."""
