"""Inference engines: protocol and factory, ONNX Runtime, TensorRT, the engine cache, CUDA graphs and kernels."""
