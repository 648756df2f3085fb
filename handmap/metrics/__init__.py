"""How good tracking is: joint errors in mm, scores by kind of frame, and scores of followed hands."""
