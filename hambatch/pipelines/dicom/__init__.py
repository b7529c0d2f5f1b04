"""DICOM to bytes of a JPEG for the fast lane, or to pixels: only in a worker."""
