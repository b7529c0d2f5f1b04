"""Training the base's upper stages together with the head."""
