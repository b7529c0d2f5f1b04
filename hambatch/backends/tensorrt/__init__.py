"""TensorRT on a GPU: device, plans, requests."""
