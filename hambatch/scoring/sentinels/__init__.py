"""Sentinels: images with known scores that go through every run."""
