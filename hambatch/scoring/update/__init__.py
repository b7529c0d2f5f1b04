"""A finished table brought up to date: what is reused, and what the update changed."""
