"""Files: read within bounds, written atomically; JSON, arrays and images."""
