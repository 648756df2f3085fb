"""The bundle on disk: its manifest, what a model says of itself and of its errors, golden samples, and what a graph may hold."""
