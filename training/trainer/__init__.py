"""Training runs of hand, palm and side: batches, steps, validation, checkpoints, and the program that comes out."""
