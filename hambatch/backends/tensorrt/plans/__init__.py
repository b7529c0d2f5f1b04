"""TensorRT plans: built from an engine's ONNX on a GPU of this machine, tried, kept privately."""
