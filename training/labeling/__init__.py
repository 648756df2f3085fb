"""Labels one's own recordings by the tracker: several passes over each frame, fused over time, and only the good ones kept."""
