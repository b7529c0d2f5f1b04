"""Pictures that are neither JPEG, PNG nor DICOM: WebP, TIFF, BMP, GIF, JPEG 2000, HEIC, AVIF."""
