"""Engine folders: their manifest, how they are found and checked, precision, cards."""
