"""Class activation maps: which parts of an image speak for a class."""
