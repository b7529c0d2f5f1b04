"""From Keras weights to the engine's ONNX graph."""
