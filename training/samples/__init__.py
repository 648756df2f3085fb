"""Training samples: drawn by several processes, kept on disk or in memory, warped into crops."""
