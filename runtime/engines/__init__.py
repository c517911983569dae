"""The libraries that compute a network: ONNX Runtime, OpenVINO, TensorRT."""
