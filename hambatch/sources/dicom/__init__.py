"""DICOM files as sources: how many frames each has, and which identifiers its header holds."""
