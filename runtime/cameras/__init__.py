"""The built-in depth cameras, RealSense and replay, and a wrapper that opens a camera in the thread that reads it."""
