"""Libraries that compute a network: ONNX Runtime, OpenVINO, TensorRT."""
