"""Depth cameras: what the daemon asks of one, the RealSense, the replay of a recording, and how the configured one is opened."""
