"""Engine folders: their contract, where they are found, whether they are intact."""
