"""Our own depth cameras, the RealSense and the replay of a recording, and what opens one in the thread that reads it."""
