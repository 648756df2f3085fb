"""What runs a graph: the protocol and its factory, ONNX Runtime, TensorRT, the cache of engines, CUDA graphs and kernels."""
