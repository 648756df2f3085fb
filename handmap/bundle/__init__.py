"""The bundle on disk: manifest, model metadata, confidence tables, golden samples, and the graph lint."""
