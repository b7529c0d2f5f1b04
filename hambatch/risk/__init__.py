"""What a row asks of a person: quality of the image, likeness to the training images, risk."""
