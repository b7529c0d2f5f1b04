"""NVIDIA GPUs: what the driver says of them."""
