"""Files: read within bounds, written atomically; JSON, arrays, images and HTML pages."""
