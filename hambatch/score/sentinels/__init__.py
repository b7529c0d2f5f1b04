"""Images with known scores that go through every run."""
