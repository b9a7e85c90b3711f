"""The network as one ONNX graph, and what runs it."""
